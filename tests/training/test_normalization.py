"""The fused batch normalisation trains as Keras's own does, and leaves no trace in the file."""

import keras
import numpy as np
import pytest

from fer import backend


def _network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((12, 12, 2))
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="normalised")(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(name="flat")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def _trained(fused: bool, steps: int = 5) -> tuple[keras.Model, list[float]]:
    model = _network()
    if fused:
        assert backend.fuse_normalization(model) == 1  # the flat one has no fused kernel
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.normal(2, 3, (8, 12, 12, 2)).astype(np.float32)
    labels = random.integers(0, 3, 8)
    return model, [float(model.train_on_batch(images, labels)) for _ in range(steps)]


def test_fused_training_equals_the_layer_of_keras() -> None:
    plain, expected = _trained(False)
    fused, losses = _trained(True)
    assert losses == pytest.approx(expected, abs=2e-5)
    for mine, theirs in zip(fused.weights, plain.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=5e-5, err_msg=mine.path)
    # moving averages have left their starting values, so the comparison above says something
    assert abs(fused.get_layer("normalised").moving_mean.numpy()).max() > 0.05


def test_a_frozen_layer_keeps_its_statistics_and_the_file_is_plain_keras(tmp_path) -> None:
    model = _network()
    backend.fuse_normalization(model)
    model.get_layer("normalised").trainable = False
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = model.get_layer("normalised").moving_variance.numpy()
    images = np.random.default_rng(0).normal(size=(8, 12, 12, 2)).astype(np.float32)
    model.train_on_batch(images, np.zeros(8, dtype=int))
    np.testing.assert_array_equal(model.get_layer("normalised").moving_variance.numpy(), before)
    model.save(tmp_path / "m.keras")
    read = keras.models.load_model(tmp_path / "m.keras")
    assert type(read.get_layer("normalised")) is keras.layers.BatchNormalization
    np.testing.assert_allclose(read.predict_on_batch(images), model.predict_on_batch(images), atol=1e-6)
