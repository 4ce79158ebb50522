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

import keras
from keras import layers

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
