"""ImageNet backbones: flat, numbered as in keras.applications, preprocessed as they were trained."""

import keras
import numpy as np
import pytest

from fer.errors import UserError
from fer.models import BACKBONES, MODELS
from fer.models.backbones import BACKBONE_DETAILS, backbone_layers, backbone_model
from fer.models.loading import load_model, save_model
from fer.training.network import set_trainable
from fer.training.phase import Phase

FACES = np.random.default_rng(0).random((2, 48, 48, 1), dtype=np.float32)


def application(name, size=96):
    details = BACKBONE_DETAILS[name]
    return getattr(keras.applications, details.constructor)(
        include_top=False, weights=None, input_shape=(size, size, 3), **details.options
    )


def test_the_table_names_every_backbone():
    assert tuple(BACKBONE_DETAILS) == BACKBONES
    assert set(BACKBONES) < set(MODELS)


def test_resnet50_is_numbered_as_study_b_counts():
    layers = backbone_layers(MODELS["resnet50"].build(weights=None, image_size=64))
    original = application("resnet50", 64).layers
    assert list(layers) == list(range(175))
    assert layers[0].name == "preprocess"
    assert [layers[index].name for index in range(1, 175)] == [
        f"backbone_{index:03d}_{original[index].name}" for index in range(1, 175)
    ]


def test_numbers_survive_saving(tmp_path):
    model = MODELS["mobilenetv3small"].build(weights=None, image_size=64)
    save_model(model, tmp_path / "m.keras")
    before, after = backbone_layers(model), backbone_layers(load_model(tmp_path / "m.keras"))
    assert list(before) == list(after) == list(range(156))
    for index, layer in before.items():
        for old, new in zip(layer.get_weights(), after[index].get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_freezing_a_range_reaches_inside():
    model = MODELS["resnet50"].build(weights=None, image_size=64)
    set_trainable(model, Phase(trainable="layers 160-175"))
    head = sum(
        layer.count_params()
        for layer in model.layers
        if not layer.name.startswith(("backbone", "preprocess"))
    )
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    # Four convolutions from conv5_block2_3_conv on, with biases, and their batch normalisations.
    convolutions = [(512, 2048), (2048, 512), (9 * 512, 512), (512, 2048)]
    inside = sum(rows * columns + 3 * columns for rows, columns in convolutions)
    assert trained == inside + head - 2 * 256  # the head's batch normalisation has two moving averages
    assert model.get_layer("backbone_170_conv5_block3_2_relu").trainable
    assert not model.get_layer("backbone_159_conv5_block2_2_bn").trainable
    inside = set(backbone_layers(model).values())
    set_trainable(model, Phase(trainable="head"))
    assert all(layer.trainable == (layer not in inside) for layer in model.layers)
    with pytest.raises(UserError, match=r"resnet50 has 175 layers; give a range within 0-175"):
        set_trainable(model, Phase(trainable="layers 160-176"))


def test_models_without_a_backbone_have_no_backbone_layers():
    assert backbone_layers(MODELS["baseline_cnn"].build()) == {}


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv3small"])
def test_the_flat_graph_computes_what_the_application_computes(name, tmp_path):
    original = application(name)
    weights = tmp_path / "backbone.weights.h5"
    original.save_weights(weights)
    flat = backbone_model(name, (48, 48, 1), "scale", str(weights), "repeat", 96)
    prepared = keras.Model(flat.input, flat.get_layer("preprocess").output)(FACES)
    expected = np.asarray(original(prepared))
    np.testing.assert_allclose(flat(FACES), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert expected.std() > 0


@pytest.mark.parametrize("name", BACKBONES)
def test_preprocessing_is_what_the_backbone_was_trained_with(name):
    flat = backbone_model(name, (48, 48, 1), "scale", None, "repeat", 96)
    resized = np.asarray(keras.Model(flat.input, flat.get_layer("resize").output)(FACES))
    prepared = keras.Model(flat.input, flat.get_layer("preprocess").output)(FACES)
    colour = np.repeat(resized * 255, 3, axis=-1)
    if name == "efficientnetb3":  # inside its own graph: (x / 255 - mean) / deviation
        expected = (colour / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    elif name == "mobilenetv3small":  # inside its own graph too
        expected = colour / 127.5 - 1
    else:
        module = {"resnet50": "resnet50", "inceptionv3": "inception_v3", "xception": "xception"}[name]
        expected = getattr(keras.applications, module).preprocess_input(colour.copy())
    np.testing.assert_allclose(prepared, expected, rtol=1e-4, atol=1e-3)
    assert resized.min() >= 0
    assert resized.max() <= 1


def test_adapter_starts_as_the_repetition_and_can_learn():
    adapted = backbone_model("mobilenetv3small", (48, 48, 1), "scale", None, "adapter", 64)
    channels = keras.Model(adapted.input, adapted.get_layer("channels").output)(FACES)
    resized = keras.Model(adapted.input, adapted.get_layer("resize").output)(FACES)
    np.testing.assert_allclose(channels, np.repeat(np.asarray(resized), 3, axis=-1), atol=1e-6)
    assert adapted.get_layer("channels").count_params() == 6


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "resnet50"])
def test_hybrid_on_every_backbone(backbone):
    model = MODELS["hybrid"].build(
        weights=None, backbone=backbone, image_size=128, multi_scale=True, hard_classes=["disgust", "fear"]
    )
    probabilities = np.asarray(model(FACES))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert {"branch_disgust", "branch_fear", "stage_1_mean", "stage_2_mean"} <= {
        layer.name for layer in model.layers
    }
    assert len(model.get_layer("attention").output.shape) == 4


def test_a_failed_download_offers_three_ways_out(monkeypatch):
    from keras.src.utils import file_utils

    def unreachable(*arguments, **options):
        raise Exception(
            "URL fetch failure on https://storage.googleapis.com/x: None -- [Errno -3] no address"
        )

    monkeypatch.setattr(file_utils, "get_file", unreachable)
    for name in BACKBONES:
        with pytest.raises(UserError) as caught:
            MODELS[name].build(image_size=224)
        message = str(caught.value)
        assert f"ImageNet weights of {name} could not be downloaded (URL fetch failure" in message
        for way in ("with a network", "weights=FILE", "weights=None"):
            assert way in message


def test_a_weights_file_that_does_not_fit(tmp_path):
    with pytest.raises(UserError, match=r"no weights file .*missing\.h5"):
        MODELS["mobilenetv3small"].build(weights=str(tmp_path / "missing.h5"))
    other = tmp_path / "other.weights.h5"
    MODELS["baseline_cnn"].build().save_weights(other)
    with pytest.raises(UserError, match="does not fit mobilenetv3small"):
        MODELS["mobilenetv3small"].build(weights=str(other), image_size=64)
    (tmp_path / "text.h5").write_text("not weights")
    with pytest.raises(UserError, match="does not fit mobilenetv3small"):
        MODELS["mobilenetv3small"].build(weights=str(tmp_path / "text.h5"), image_size=64)
