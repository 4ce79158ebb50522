"""BatchNorm statistics of the images as they are, in place of those of augmented ones.

While it trains, BatchNorm keeps running means and variances of what it sees: turned, dimmed, cut-out images,
under weights that still change. What is classified later looks otherwise. Estimating both anew with the
weights fixed is the "precise BN" of Wu & Johnson 2021 (Rethinking "Batch" in BatchNorm); that the mismatch
of the two kinds of images costs accuracy is from Touvron et al. 2019 (Fixing the train-test resolution
discrepancy). Keras's names: `moving_mean`, `moving_variance`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fer import backend

_DROPOUT = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.AlphaDropout)  # spatial too


def normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The BatchNorm layers of `model` that train, at any depth; frozen ones keep their statistics."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def settle(model: keras.Model, images: np.ndarray, batch: int, should_stop: Callable[[], bool]) -> bool:
    """Set the statistics of every BatchNorm to those over `images`; no weight changes.

    Dropout is off meanwhile: the variance of what it lets through is not that of what is classified later.

    Args:
        model: takes (N, 48, 48, 1) float32 in [0, 1].
        images: (N, 48, 48) uint8.
        batch: images that are normalised together, as in training.
        should_stop: asked before each batch.

    Returns:
        False if stopped; the statistics are then as they were.
    """
    layers = normalizations(model)
    before = [(layer.momentum, _values(layer)) for layer in layers]
    dropped = [(layer, layer.rate) for layer in model._flatten_layers() if isinstance(layer, _DROPOUT)]
    means = [np.zeros_like(mean, dtype=np.float64) for _, (mean, _) in before]
    squares = [np.zeros_like(mean, dtype=np.float64) for _, (mean, _) in before]
    stopped = False
    try:
        for layer in layers:
            layer.momentum = 0.0  # then each step leaves the statistics of its batch alone
        for layer, _ in dropped:
            layer.rate = 0.0
        step = _forward(model)
        for start in range(0, len(images), batch):
            stopped = should_stop()
            if stopped:
                break
            part = images[start : start + batch]
            step(part[..., None].astype(np.float32) / np.float32(255))
            for number, layer in enumerate(layers):
                mean, variance = _values(layer)
                means[number] += mean * (len(part) / len(images))
                squares[number] += (variance + mean**2) * (len(part) / len(images))
    finally:
        for layer, (momentum, values) in zip(layers, before, strict=True):
            layer.momentum = momentum
            _assign(layer, values)
        for layer, rate in dropped:
            layer.rate = rate
    if not stopped:
        for layer, mean, square in zip(layers, means, squares, strict=True):
            _assign(layer, (mean, np.maximum(square - mean**2, 0)))
    return not stopped


def _forward(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """A step forward as in training; as a graph under TensorFlow, whose functions may assign to variables."""

    def forward(images: Any) -> Any:
        return model(images, training=True)

    return backend.traced(forward) if backend.backend_name() == "tensorflow" else forward


def _values(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (
        keras.ops.convert_to_numpy(value) for value in (layer.moving_mean, layer.moving_variance)
    )
    return np.array(mean, np.float64), np.array(variance, np.float64)


def _assign(layer: Any, values: tuple[np.ndarray, np.ndarray]) -> None:
    for variable, value in zip((layer.moving_mean, layer.moving_variance), values, strict=True):
        variable.assign(value.astype(np.float32))
