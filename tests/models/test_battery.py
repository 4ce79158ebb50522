"""What holds for every entry of MODELS."""

import ast
import importlib
import inspect

import keras
import numpy as np
import pytest

from fer.models import MODELS
from fer.models.backbones import backbone_layers
from fer.models.loading import load_model, save_model

IMAGES = np.random.default_rng(0).random((2, 48, 48, 1), dtype=np.float32)


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def outputs(model, images=IMAGES):
    return keras.ops.convert_to_numpy(model(images, training=False))


def options(spec, **more):
    return {"weights": None, "image_size": 96, **more} if spec.pretrained else more


def test_shapes_and_probabilities(spec, model):
    assert model.input_shape == (None, 48, 48, 1)
    assert model.output_shape == (None, 7)
    probabilities = outputs(model)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert model.layers[-1].name == "probabilities"


def test_inference_is_the_default_and_changes_nothing(spec, model):
    before = [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    called = keras.ops.convert_to_numpy(model(IMAGES))
    np.testing.assert_allclose(called, outputs(model), rtol=0, atol=1e-6)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), old)


def test_parameter_count(spec, model):
    if spec.name == "hybrid":  # its positions depend on the image size; the backbones' counts do not
        model = spec.build(weights=None)
    assert model.count_params() == spec.parameters
    assert f"{spec.parameters:,}" in spec.description


def test_functional_with_stable_unique_names_and_no_lambda(spec, model):
    assert type(model).__name__ == "Functional"
    names = [operation.name for operation in model.operations]
    assert len(set(names)) == len(names)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    six = spec.build(classes=6, **options(spec))
    assert six.output_shape == (None, 6)
    assert [operation.name for operation in six.operations] == names


def test_features_feed_the_logits(spec, model):
    features = model.get_layer("features").output
    assert len(features.shape) == 2
    assert model.get_layer("logits").input.shape == features.shape


def test_one_training_step(spec, model):
    model = keras.models.clone_model(model)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    # Eagerly: tracing the large graphs takes longer than the step.
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", run_eagerly=True)
    loss = model.train_on_batch(IMAGES, np.array([0, 6]))
    assert np.isfinite(loss)
    assert 0 < loss < 20
    changed = [
        bool((keras.ops.convert_to_numpy(new) != old).any())
        for new, old in zip(model.trainable_weights, before, strict=True)
    ]
    assert np.mean(changed) > 0.9  # the biases of attention keys have no gradient
    assert np.isfinite(outputs(model)).all()


def test_saved_and_loaded_again(spec, model, tmp_path):
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    np.testing.assert_allclose(outputs(loaded), outputs(model), rtol=0, atol=1e-6)
    assert not loaded.compiled


def test_mixed_precision_trains_in_bfloat16_and_loads_in_float32(spec, model, bfloat16, tmp_path):
    mixed = spec.build(**options(spec))
    assert mixed.count_params() == model.count_params()
    assert {str(weight.dtype) for weight in mixed.trainable_weights} == {"float32"}
    computing = [layer.compute_dtype for layer in mixed.layers if layer.trainable_weights]
    assert computing.count("bfloat16") >= len(computing) / 2
    assert mixed.get_layer("probabilities").compute_dtype == "float32"
    assert mixed.get_layer("logits").compute_dtype == "float32"
    probabilities = outputs(mixed)
    assert probabilities.dtype == np.float32
    assert np.isfinite(probabilities).all()
    save_model(mixed, tmp_path / "mixed.keras")
    loaded = load_model(tmp_path / "mixed.keras")  # under the bfloat16 policy still
    assert {layer.compute_dtype for layer in (loaded, *loaded.layers)} == {"float32"}
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    full = keras.models.clone_model(model)
    full.set_weights(mixed.get_weights())
    np.testing.assert_allclose(outputs(loaded), outputs(full), rtol=0, atol=1e-6)


def test_class_activation_layer(spec, model):
    shape = model.get_layer(spec.cam_layer).output.shape
    if spec.token_grid:
        rows, columns = spec.token_grid
        assert shape[1] == rows * columns + spec.class_token
        assert len(shape) == 3
    else:
        assert len(shape) == 4
        assert shape[1] == shape[2] >= (1 if spec.pretrained else 3)  # these see 96 pixels here, not 224


def test_the_class_score_depends_on_every_position_of_the_cam_layer(spec, model):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("takes a gradient with TensorFlow")
    import tensorflow as tf

    head = keras.Model(
        model.input, [model.get_layer(spec.cam_layer).output, model.get_layer("logits").output]
    )
    with tf.GradientTape() as tape:
        activation, logits = head(IMAGES, training=False)
        score = tf.reduce_sum(logits[:, 3])
    gradient = np.abs(tape.gradient(score, activation).numpy()).sum(axis=(0, -1)).ravel()
    # A maximum passes gradients at some positions only.
    assert (gradient > 0).mean() > (0.01 if "max" in (spec.options.get("pool"), spec.name[-2:]) else 0.9)


# Of each network's head; the studies' from `experiments.md`, the project's list of their experiments.
DROPOUT = {
    "baseline_cnn": [0.5],
    "unet_attention": [0.1, 0.2, 0.5],  # spatial, spatial, before the last layer
    "unet_separable": [0.1, 0.2, 0.5],
    "unet_se": [0.15, 0.25, 0.3, 0.6, 0.5],
    "vit_patch8": [0.1] * 8,
    "cnn4": [0.3],
    "vit_patch4": [0.1] * 8,
    "resnet50": [0.5],
    "inceptionv3": [0.5],
    "efficientnetb3": [0.5],
    "xception": [0.5],
    "mobilenetv3small": [0.5],
    "hybrid": [0.1, 0.1, 0.5],
    "resnet_se": [0.2],
    "vgg": [0.4],
    "cct": [0.0, 0.0] + [rate for n in range(1, 6) for rate in (0.02 * n, 0.0, 0.0, 0.02 * n)],
}


def test_dropout_rates(spec, model):
    inside = set(backbone_layers(model).values())
    spatial = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.SpatialDropout2D)]
    found = [
        layer.rate
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout | keras.layers.SpatialDropout2D) and layer not in inside
    ]
    assert sorted(found) == pytest.approx(sorted(DROPOUT[spec.name]))
    assert spatial == (DROPOUT[spec.name][:2] if spec.name.startswith("unet") else [])


def test_heads_on_pretrained_backbones(built):
    """Study A on ResNet50: global max pool, Dense 256 BN ReLU; D on InceptionV3: mean; B: its hybrid head."""
    resnet, inception, hybrid = (built(name) for name in ("resnet50", "inceptionv3", "hybrid"))
    assert isinstance(resnet.get_layer("pool"), keras.layers.GlobalMaxPooling2D)
    assert resnet.get_layer("features_dense").units == 256
    following = [resnet.layers[resnet.layers.index(resnet.get_layer("features_dense")) + n] for n in (1, 2)]
    assert [layer.name for layer in following] == ["features_bn", "features"]
    assert isinstance(inception.get_layer("features"), keras.layers.GlobalAveragePooling2D)
    for name in ("attention_channel_weights", "attention_position_weights"):
        assert hybrid.get_layer(name).get_config()["activation"] == "sigmoid"
    assert hybrid.get_layer("attention_conv").kernel_size == (7, 7)
    branches = ["branch_disgust", "branch_fear", "branch_sad"]
    read = [tensor._keras_history.operation.name for tensor in hybrid.get_layer("fusion").input]
    assert read == ["trunk", *branches]
    for name in (*branches, "features"):
        assert resnet.get_layer("features").get_config()["activation"] == "relu"
        assert hybrid.get_layer(name).get_config()["activation"] == "relu"


def test_the_table_reads_a_files_options_as_python_does(spec):
    """It parses the file, so as not to import Keras; the values are in `test_architectures.py`."""
    build = importlib.import_module(f"fer.models.{spec.module or spec.name}").build
    parameters = inspect.signature(build).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    for shared, value in (("classes", 7), ("input_shape", (48, 48, 1)), ("preprocessing", "scale")):
        assert defaults.pop(shared) == value
    assert spec.options == defaults
    spec.check_options(spec.options)


def test_every_model_file_is_in_the_table():
    from pathlib import Path

    import fer.models

    folder = Path(fer.models.__file__).parent
    builds = {
        path.stem
        for path in folder.glob("*.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "build"
            for node in ast.parse(path.read_text()).body
        )
    }
    assert builds - {"autoencoder"} == set(MODELS)
