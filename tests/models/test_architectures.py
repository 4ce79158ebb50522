"""What a count of parameters does not tell: rates, penalties, dilations, activations, and what reads what.

The studies' figures are from `experiments.md`, the project's list of their experiments; the others from the
papers and from the docstrings of our own networks. What is asked of pretrained ones is in the battery.
"""

import importlib
from typing import Any

import keras
import pytest

from fer.models import MODELS

SCRATCH = [name for name, spec in MODELS.items() if not spec.pretrained]
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.SeparableConv2D)


def layers_of(model: keras.Model, *kinds: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def activation(layer: Any) -> str:
    return layer.get_config()["activation"]


def reads(layer: Any) -> set[str]:
    """Names of the layers whose outputs it takes."""
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return {tensor._keras_history.operation.name for tensor in inputs}


def block(model: keras.Model, name: str) -> list[tuple[str, str]]:
    """(kind, activation) of the layers a convolution is followed by, up to the next branch."""
    found, layer = [], model.get_layer(name)
    while True:
        found.append((type(layer).__name__, layer.get_config().get("activation", "")))
        readers = [other for other in model.layers if layer.name in _sources(other)]
        if len(readers) != 1 or not isinstance(
            readers[0], keras.layers.BatchNormalization | keras.layers.Activation
        ):
            return found
        layer = readers[0]


def _sources(layer: Any) -> set[str]:
    return set() if isinstance(layer, keras.layers.InputLayer) else reads(layer)


PENALTY = {"unet_attention": 1e-4, "unet_separable": 1e-4, "unet_se": 2e-4}


@pytest.mark.parametrize("name", SCRATCH)
def test_penalties_on_every_convolution_of_the_u_nets_and_nowhere_else(built, name):
    wanted = PENALTY.get(name)
    for layer in layers_of(built(name), *CONVOLUTIONS):
        parts = ["kernel"]
        if isinstance(layer, keras.layers.SeparableConv2D):
            parts = ["depthwise", "pointwise"]
        for part in parts:
            penalty = getattr(layer, f"{part}_regularizer")
            found = None if penalty is None else float(penalty.l2)
            assert found == (None if wanted is None else pytest.approx(wanted)), layer.name


def test_the_baseline(built):
    model = built("baseline_cnn")
    convolutions = layers_of(model, *CONVOLUTIONS)
    assert [(c.filters, c.kernel_size, c.padding, c.dilation_rate, activation(c)) for c in convolutions] == [
        (filters, (3, 3), "valid", (1, 1), "relu") for filters in (64, 32, 16)
    ]
    assert [pool.pool_size for pool in layers_of(model, keras.layers.MaxPooling2D)] == [(2, 2)] * 3
    dense = layers_of(model, keras.layers.Dense)
    assert [(layer.units, activation(layer)) for layer in dense] == [(128, "relu"), (7, "linear")]
    assert reads(model.get_layer("dropout")) == {"features"}
    assert reads(model.get_layer("logits")) == {"dropout"}


@pytest.mark.parametrize("name", ["unet_attention", "unet_separable"])
def test_the_attention_u_net(built, name):
    model = built(name)
    kind = "SeparableConv2D" if name == "unet_separable" else "Conv2D"
    filters = {f"encoder{n}_conv{m}": 64 * n for n in (1, 2) for m in (1, 2)}
    filters |= {"bottleneck_conv1": 256, "bottleneck_conv2": 256, "decoder1_conv1": 128}
    filters |= {"decoder1_conv2": 128, "decoder2_conv1": 64, "decoder2_conv2": 64}
    for layer, count in filters.items():
        convolution = model.get_layer(layer)
        assert (convolution.filters, convolution.kernel_size, convolution.padding) == (count, (3, 3), "same")
        assert convolution.dilation_rate in (1, (1, 1))
        first = "Conv2D" if layer == "encoder1_conv1" else kind  # one channel has no depth to separate
        assert block(model, layer) == [(first, "linear"), ("BatchNormalization", ""), ("Activation", "relu")]
    for level, count, skip in ((1, 128, "encoder2_conv2_relu"), (2, 64, "encoder1_conv2_relu")):
        gate = model.get_layer(f"gate{level}_conv")
        assert (gate.filters, gate.kernel_size, reads(gate)) == (count, (1, 1), {skip})
        assert [part for _, part in block(model, gate.name)] == ["linear", "", "sigmoid"]
        assert reads(model.get_layer(f"gate{level}_multiply")) == {skip, f"gate{level}_conv_sigmoid"}
        joined = model.get_layer(f"decoder{level}_concatenate")
        assert reads(joined) == {f"decoder{level}_conv1_relu", f"gate{level}_multiply"}
        assert reads(model.get_layer(f"decoder{level}_conv2")) == {joined.name}
    assert reads(model.get_layer("decoder1_upsample")) == {"bottleneck_conv2_relu"}
    pools = {"bottleneck_mean": 256, "decoder1_mean": 128, "decoder2_mean": 64}
    assert reads(model.get_layer("levels")) == set(pools)
    assert model.get_layer("levels").output.shape == (None, 448)
    for pool in pools:
        assert isinstance(model.get_layer(pool), keras.layers.GlobalAveragePooling2D)
        assert reads(model.get_layer(pool)) == {pool.replace("_mean", "_conv2_relu")}
    head = model.get_layer("features_dense")
    assert (head.units, [part for _, part in block(model, head.name)]) == (256, ["linear", "", "relu"])


def test_the_squeeze_excite_u_net(built):
    model = built("unet_se")
    dilated = [c.name for c in layers_of(model, *CONVOLUTIONS) if c.dilation_rate != (1, 1)]
    assert dilated == ["bottleneck_conv1"]
    assert model.get_layer("bottleneck_conv1").dilation_rate == (2, 2)
    for part, count in {"encoder1": 64, "encoder2": 128, "bottleneck": 256}.items():
        for number in (1, 2):
            convolution = model.get_layer(f"{part}_conv{number}")
            assert (convolution.filters, convolution.kernel_size) == (count, (3, 3))
        assert reads(model.get_layer(f"{part}_add")) == {f"{part}_conv2_bn", f"{part}_shortcut_bn"}
        assert activation(model.get_layer(f"{part}_relu")) == "relu"
    reduce, expand = (model.get_layer(f"bottleneck_se_{part}") for part in ("reduce", "expand"))
    assert (reduce.units, activation(reduce)) == (256 // 16, "relu")
    assert (expand.units, activation(expand)) == (256, "sigmoid")
    for level, skip in ((1, "encoder2_relu"), (2, "encoder1_relu")):
        projections = model.get_layer(f"skip{level}_projections")
        attention = model.get_layer(f"skip{level}_attention")
        assert (projections.filters, projections.kernel_size) == (2, (1, 1))
        assert (attention.filters, attention.kernel_size, activation(attention)) == (1, (7, 7), "sigmoid")
        assert (reads(projections), reads(attention)) == ({skip}, {projections.name})
        assert reads(model.get_layer(f"skip{level}_multiply")) == {skip, attention.name}
        assert f"skip{level}_multiply" in reads(model.get_layer(f"decoder{level}_concatenate"))
    pools = {f"{part}_{kind}" for part in ("bottleneck", "decoder1", "decoder2") for kind in ("mean", "max")}
    assert reads(model.get_layer("levels")) == pools
    dense = [model.get_layer(name) for name in ("hidden", "features")]
    assert [(layer.units, activation(layer)) for layer in dense] == [(256, "relu"), (128, "relu")]
    order = {"dropout1": (0.3, "levels"), "dropout2": (0.6, "hidden"), "dropout3": (0.5, "features")}
    for name, (rate, source) in order.items():
        assert (model.get_layer(name).rate, reads(model.get_layer(name))) == (rate, {source})


@pytest.mark.parametrize(
    ("name", "patch", "width", "heads", "key", "hidden"),
    [("vit_patch8", 8, 64, 8, 64, 128), ("vit_patch4", 4, 16, 4, 16, 32)],
)
def test_the_vision_transformers(built, name, patch, width, heads, key, hidden):
    model = built(name)
    embedding = model.get_layer("patch_embedding")
    assert (embedding.filters, embedding.kernel_size) == (width, (patch, patch))
    assert (embedding.strides, activation(embedding)) == ((patch, patch), "linear")
    attentions = layers_of(model, keras.layers.MultiHeadAttention)
    assert len(attentions) == 4
    for number, attention in enumerate(attentions, 1):
        config = attention.get_config()
        assert (config["num_heads"], config["key_dim"], config["dropout"]) == (heads, key, 0.1)
        assert reads(attention) == {f"block{number}_norm1"}
        mlp = [model.get_layer(f"block{number}_mlp{part}") for part in (1, 2)]
        assert [(d.units, activation(d)) for d in mlp] == [(hidden, "gelu"), (width, "linear")]
        assert reads(mlp[0]) == {f"block{number}_norm2"}
        assert reads(model.get_layer(f"block{number}_add2")) == {
            f"block{number}_add1",
            f"block{number}_mlp_dropout2",
        }
    assert model.get_layer("positions").output.shape == (None, (48 // patch) ** 2, width)
    if name == "vit_patch8":  # the token joins behind the positions; no norm but the head's own
        assert reads(model.get_layer("class_token")) == {"positions"}
        assert reads(model.get_layer("block1_norm1")) == {"class_token"}
        assert reads(model.get_layer("read_class_token")) == {"block4_add2"}
        assert isinstance(model.get_layer("features"), keras.layers.LayerNormalization)
        assert model.get_layer("read_class_token").cropping == (0, 36)
    else:
        assert isinstance(model.get_layer("features"), keras.layers.GlobalAveragePooling1D)
        assert reads(model.get_layer("block1_norm1")) == {"positions"}


def test_the_four_blocks_of_cnn4(built):
    model = built("cnn4")
    convolutions = layers_of(model, *CONVOLUTIONS)
    assert [(c.filters, c.kernel_size, c.padding, activation(c)) for c in convolutions] == [
        (filters, (3, 3), "same", "relu") for filters in (64, 128, 256, 512)
    ]
    for number in range(1, 5):
        assert reads(model.get_layer(f"block{number}_bn")) == {f"block{number}_conv"}
        assert reads(model.get_layer(f"block{number}_pool")) == {f"block{number}_bn"}
    dense = layers_of(model, keras.layers.Dense)
    sizes = [(layer.units, activation(layer)) for layer in dense]
    assert sizes == [(512, "relu"), (256, "relu"), (64, "relu"), (7, "linear")]
    assert reads(model.get_layer("dropout")) == {"flatten"}


def test_our_own(built):
    residual, vgg, cct = (built(name) for name in ("resnet_se", "vgg", "cct"))
    stages = [residual.get_layer(f"stage{n}_block1_conv1").filters for n in (1, 2, 3, 4)]
    assert stages == [32, 64, 128, 224]
    assert activation(residual.get_layer("stage2_block1_se_expand")) == "sigmoid"
    assert residual.get_layer("stage2_block1_se_reduce").units == 64 // 8
    momenta = {layer.momentum for layer in layers_of(residual, keras.layers.BatchNormalization)}
    assert momenta == {0.9}
    counts = [c.filters for c in layers_of(vgg, *CONVOLUTIONS)]
    assert counts == [64, 64, 128, 128, 256, 256, 512, 512]
    assert {c.kernel_size for c in layers_of(vgg, *CONVOLUTIONS)} == {(3, 3)}
    attentions = [a.get_config() for a in layers_of(cct, keras.layers.MultiHeadAttention)]
    assert [(a["num_heads"], a["key_dim"]) for a in attentions] == [(4, 48)] * 6
    assert cct.get_layer("block1_mlp1").units == 384


# Every option of `build` and its default. Figures of the studies are from `experiments.md`.
_BACKBONE = {"weights": "imagenet", "channels": "repeat", "image_size": 224}
_AVERAGED = _BACKBONE | {"pool": "average", "hidden": 0, "dropout": 0.5}
_UNET = {"width": 64, "spatial_dropout": (0.1, 0.2), "dropout": 0.5, "l2": 1e-4}
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline_cnn": {"dropout": 0.5},
    "unet_attention": _UNET | {"separable": False},
    "unet_separable": _UNET,
    "unet_se": {"width": 64, "spatial_dropout": (0.15, 0.25), "dropout": (0.3, 0.6, 0.5), "l2": 2e-4},
    "vit_patch8": {"patch": 8, "width": 64, "blocks": 4, "heads": 8, "key_size": 64, "hidden": 128,
                   "dropout": 0.1},
    "cnn4": {"dropout": 0.3, "block_dropout": 0.0, "hidden_dropout": 0.0},
    "vit_patch4": {"patch": 4, "width": 16, "blocks": 4, "heads": 4, "key_size": 16, "hidden": 32,
                   "dropout": 0.1},
    "resnet50": _BACKBONE | {"pool": "max", "hidden": 256, "dropout": 0.5},
    "inceptionv3": _AVERAGED,
    "efficientnetb3": _AVERAGED,
    "xception": _AVERAGED,
    "mobilenetv3small": _AVERAGED,
    "hybrid": {"backbone": "resnet50", **_BACKBONE, "width": 256, "heads": 4,
               "hard_classes": ("disgust", "fear", "sad"), "branch_units": 128, "multi_scale": False,
               "dropout": 0.5},
    "resnet_se": {"widths": (32, 64, 128, 224), "blocks": (1, 2, 2, 1), "ratio": 8, "dropout": 0.2},
    "vgg": {"width": 64, "hidden": 512, "dropout": 0.4},
    "cct": {"stem": (32, 64, 128), "width": 192, "blocks": 6, "heads": 4, "ratio": 2, "dropout": 0.0,
            "drop_path": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_options_and_their_defaults(name):
    assert MODELS[name].options == OPTIONS[name]


# Options that are all other than their defaults, and where each shows.
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "baseline_cnn": ({"dropout": 0.25}, {"dropout.rate": 0.25}),
    "unet_attention": (
        {"width": 2, "spatial_dropout": (0.3, 0.4), "dropout": 0.25, "l2": 0.125, "separable": True},
        {"encoder1_conv1.filters": 2, "encoder1_dropout.rate": 0.3, "encoder2_dropout.rate": 0.4,
         "dropout.rate": 0.25, "gate1_conv.kernel_regularizer.l2": 0.125,
         "features_dense.kernel_regularizer.l2": 0.125, "encoder2_conv1.depth_multiplier": 1},
    ),
    "unet_separable": (
        {"width": 2, "spatial_dropout": (0.3, 0.4), "dropout": 0.25, "l2": 0.125},
        {"encoder1_conv1.filters": 2, "encoder1_dropout.rate": 0.3, "encoder2_dropout.rate": 0.4,
         "dropout.rate": 0.25, "gate1_conv.kernel_regularizer.l2": 0.125},
    ),
    "unet_se": (
        {"width": 2, "spatial_dropout": (0.3, 0.4), "dropout": (0.1, 0.2, 0.7), "l2": 0.125},
        {"encoder1_conv1.filters": 2, "encoder1_dropout.rate": 0.3, "encoder2_dropout.rate": 0.4,
         "dropout1.rate": 0.1, "dropout2.rate": 0.2, "dropout3.rate": 0.7,
         "skip1_attention.kernel_regularizer.l2": 0.125},
    ),
    "vit_patch8": (
        {"patch": 12, "width": 6, "blocks": 1, "heads": 2, "key_size": 3, "hidden": 5, "dropout": 0.25},
        {"patch_embedding.filters": 6, "patch_embedding.kernel_size": (12, 12), "block1_mlp1.units": 5,
         "block1_attention.num_heads": 2, "block1_attention.key_dim": 3, "block1_mlp_dropout1.rate": 0.25},
    ),
    "vit_patch4": (
        {"patch": 12, "width": 6, "blocks": 1, "heads": 2, "key_size": 3, "hidden": 5, "dropout": 0.25},
        {"patch_embedding.filters": 6, "patch_embedding.kernel_size": (12, 12), "block1_mlp1.units": 5,
         "block1_attention.num_heads": 2, "block1_attention.key_dim": 3, "block1_mlp_dropout1.rate": 0.25},
    ),
    "cnn4": (
        {"dropout": 0.25, "block_dropout": 0.1, "hidden_dropout": 0.2},
        {"dropout.rate": 0.25, "block4_dropout.rate": 0.1, "hidden2_dropout.rate": 0.2},
    ),
    "resnet_se": (
        {"widths": (4, 12), "blocks": (2, 1), "ratio": 2, "dropout": 0.25},
        {"stem_conv.filters": 4, "stage2_block1_conv1.filters": 12, "stage1_block2_conv1.filters": 4,
         "stage2_block1_se_reduce.units": 6, "dropout.rate": 0.25},
    ),
    "vgg": (
        {"width": 2, "hidden": 8, "dropout": 0.25},
        {"block1_conv1.filters": 2, "hidden_dense.units": 8, "features_dense.units": 8,
         "dropout.rate": 0.25},
    ),
    "cct": (
        {"stem": (2, 4), "width": 6, "blocks": 2, "heads": 3, "ratio": 5, "dropout": 0.25, "drop_path": 0.3},
        {"tokenizer_conv2.filters": 4, "tokenizer_conv3.filters": 6, "block1_attention.num_heads": 3,
         "block1_attention.key_dim": 2, "block1_mlp1.units": 30, "block1_mlp_dropout1.rate": 0.25,
         "block2_drop_path1.rate": 0.3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_every_option_has_its_effect(name):
    changed, shown = CHANGED[name]
    assert set(changed) == set(OPTIONS[name])
    model = MODELS[name].build(**changed)
    for place, wanted in shown.items():
        layer, *steps = place.split(".")
        found: Any = model.get_layer(layer)
        for step in steps:
            found = getattr(found, step) if hasattr(found, step) else found.get_config()[step]
        assert found == wanted, place
    if "blocks" in changed and isinstance(changed["blocks"], int):
        assert len(layers_of(model, keras.layers.MultiHeadAttention)) == changed["blocks"]


@pytest.mark.parametrize("name", [n for n, options in OPTIONS.items() if "pool" in options])
def test_a_backbones_options_reach_its_builder(name, monkeypatch):
    seen: list[tuple[tuple, dict]] = []
    module = importlib.import_module(f"fer.models.{name}")
    monkeypatch.setattr(module, "fine_tuned", lambda *given, **named: seen.append((given, named)))
    options = {"weights": None, "channels": "adapter", "image_size": 99, "pool": "sum", "hidden": 7,
               "dropout": 0.125}  # fmt: skip
    MODELS[name].build(classes=5, preprocessing="standardise", **options)
    assert seen == [((name, 5, (48, 48, 1), "standardise"), options)]
