"""Convolutional autoencoder that finds images unlike the others by how badly it reconstructs them.

Source: study A. Input and output (N, 48, 48, 1) float32 in [0, 1]. 75,425 parameters. It is no classifier
and therefore not in `MODELS`; `fer.analysis.outliers` trains and uses it.

    48×48×1   Conv 3×3 same 32, ReLU, BN → max-pool 2
    24×24×32  Conv 64, ReLU, BN → max-pool 2
    12×12×64  Conv 32, ReLU, BN (the code: 12×12×32) → upsample 2
    24×24×32  Conv 64, ReLU, BN → upsample 2
    48×48×64  Conv 32, ReLU, BN → Conv 1, sigmoid

The moving averages of BN have momentum 0.9, not Keras' 0.99: after a few epochs of a few thousand images
the latter still hold a third of their starting values, and the network scores worse than it trained.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

PARAMETERS = 75_425


def build(dtype: str = "float32") -> keras.Model:
    """A fresh autoencoder; `dtype` is the Keras policy of all layers but the last, which is float32."""
    inputs = keras.Input((48, 48, 1), name="images")
    x = _block(inputs, 32, "encoder1", dtype)
    x = layers.MaxPooling2D(dtype=dtype, name="encoder1_pool")(x)
    x = _block(x, 64, "encoder2", dtype)
    x = layers.MaxPooling2D(dtype=dtype, name="encoder2_pool")(x)
    x = _block(x, 32, "code", dtype)
    x = layers.UpSampling2D(dtype=dtype, name="decoder1_upsample")(x)
    x = _block(x, 64, "decoder1", dtype)
    x = layers.UpSampling2D(dtype=dtype, name="decoder2_upsample")(x)
    x = _block(x, 32, "decoder2", dtype)
    outputs = layers.Conv2D(
        1, 3, padding="same", activation="sigmoid", dtype="float32", name="reconstruction"
    )(x)
    return keras.Model(inputs, outputs, name="autoencoder")


def _block(x: keras.KerasTensor, filters: int, name: str, dtype: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", dtype=dtype, name=f"{name}_conv")(x)
    return layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"{name}_bn")(x)


def fast_forward(model: keras.Model) -> Callable[[Any], tuple[Any, Any]]:
    """A function of (B, 48, 48, 1) tensors that returns the reconstruction and the 12×12×32 code.

    The same network with its present weights, in inference, with 0.56 times the multiplications: a 3×3
    convolution of an image whose pixels were doubled meets each of them in pairs, so each of the four output
    phases is a 2×2 convolution of the small image with the weights of the pairs added up (Shi et al. 2016,
    arXiv:1609.07009, "Is the deconvolution layer the same as a convolutional layer?"). Differs from
    `model` by rounding alone.
    """
    encoder1, encoder2, code = (_applied(model, name) for name in ("encoder1", "encoder2", "code"))
    decoder1, decoder2 = (_doubled(model, name) for name in ("decoder1", "decoder2"))
    kernel, bias = (np.float32(w) for w in model.get_layer("reconstruction").get_weights())

    def forward(images: Any) -> tuple[Any, Any]:
        x = ops.max_pool(encoder1(images), 2)
        inner = code(ops.max_pool(encoder2(x), 2))
        x = decoder2(decoder1(inner))
        return ops.sigmoid(ops.conv(x, kernel, padding="same") + bias), inner

    return forward


def _weights(model: keras.Model, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kernel and bias of a block's convolution, factor and summand of its normalisation."""
    kernel, bias = model.get_layer(f"{name}_conv").get_weights()
    normalisation = model.get_layer(f"{name}_bn")
    gamma, beta, mean, variance = (w.astype(np.float64) for w in normalisation.get_weights())
    factor = gamma / np.sqrt(variance + normalisation.epsilon)
    return kernel, bias, factor.astype(np.float32), (beta - mean * factor).astype(np.float32)


def _applied(model: keras.Model, name: str) -> Callable[[Any], Any]:
    """A block: convolution, ReLU, normalisation."""
    kernel, bias, factor, summand = _weights(model, name)
    return lambda x: ops.relu(ops.conv(x, kernel, padding="same") + bias) * factor + summand


def _doubled(model: keras.Model, name: str) -> Callable[[Any], Any]:
    """Upsampling by 2 and then a block, as four 2×2 convolutions of the small image."""
    kernel, bias, factor, summand = _weights(model, name)
    rows = (
        np.stack([kernel[0], kernel[1] + kernel[2]]),  # even rows: the row above, then the pixel's own twice
        np.stack([kernel[0] + kernel[1], kernel[2]]),  # odd rows
    )
    phases = [
        np.stack([part[:, 0], part[:, 1] + part[:, 2]], axis=1)
        if even
        else np.stack([part[:, 0] + part[:, 1], part[:, 2]], axis=1)
        for part in rows
        for even in (True, False)
    ]

    def block(x: Any) -> Any:
        count, height, width = ops.shape(x)[0], x.shape[1], x.shape[2]
        padded = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        made = []
        for n, phase in enumerate(phases):
            down, right = divmod(n, 2)
            part = padded[:, down : down + height + 1, right : right + width + 1]
            made.append(ops.relu(ops.conv(part, phase, padding="valid") + bias) * factor + summand)
        filters = phases[0].shape[-1]
        grid = ops.reshape(ops.stack(made, axis=3), (count, height, width, 2, 2, filters))
        return ops.reshape(ops.transpose(grid, (0, 1, 3, 2, 4, 5)), (count, 2 * height, 2 * width, filters))

    return block
