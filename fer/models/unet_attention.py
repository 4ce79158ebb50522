"""Attention U-Net as a classifier: features from three depths of an encoder-decoder.

Source: study A; U-Net (Ronneberger et al. 2015) with a sigmoid gate on each skip connection.
Input (N, 48, 48, 1) float32 in [0, 1]. 2,026,247 parameters with 7 classes; the count fixes what the
study's text leaves open: every convolution, the gates' too, has a bias and batch normalisation.
Expected: 64.8 % test accuracy, macro F1 0.62 (study A: Adam 1e-3, 50 epochs, no augmentation).

    48×48×1   encoder1: Conv 64, Conv 64 ─────────────────────── skip, gated ┐
    24×24     max-pool, spatial dropout 0.1                                  │
              encoder2: Conv 128, Conv 128 ──────── skip, gated ┐            │
    12×12     max-pool, spatial dropout 0.2                     │            │
              bottleneck: Conv 256, Conv 256                    │            │
    24×24     decoder1: upsample, Conv 128, concatenate ────────┘ Conv 128   │
    48×48     decoder2: upsample, Conv 64, concatenate ──────────────────────┘ Conv 64
    features  mean over positions of bottleneck, decoder1, decoder2: 256 + 128 + 64 = 448
              → Dense 256, BN, ReLU → Dropout 0.5 → Dense 7 → softmax

Every Conv is 3×3 same, BN, ReLU, with L2 1e-4; gate = sigmoid(BN(Conv 1×1(skip))), multiplied into it.
"""

from typing import Any

import keras
from keras import layers

from fer.models.blocks import classifier, conv_bn, dense_bn_relu, image_input


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    width: int = 64,
    spatial_dropout: tuple[float, float] = (0.1, 0.2),
    dropout: float = 0.5,
    l2: float = 1e-4,
    separable: bool = False,
) -> keras.Model:
    """The network of the module's docstring; `separable` makes the 3×3 convolutions depthwise-separable."""
    settings: dict[str, Any] = {"bias": True, "l2": l2}

    def conv(x: keras.KerasTensor, filters: int, layer: str) -> keras.KerasTensor:
        return conv_bn(x, filters, layer, separable=separable and x.shape[-1] > 1, **settings)

    inputs, x = image_input(input_shape, preprocessing)
    skips = []
    for level, rate in enumerate(spatial_dropout, start=1):
        x = conv(x, width * 2 ** (level - 1), f"encoder{level}_conv1")
        x = conv(x, width * 2 ** (level - 1), f"encoder{level}_conv2")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"encoder{level}_pool")(x)
        x = layers.SpatialDropout2D(rate, name=f"encoder{level}_dropout")(x)
    x = conv(x, width * 4, "bottleneck_conv1")
    x = conv(x, width * 4, "bottleneck_conv2")
    levels = [layers.GlobalAveragePooling2D(name="bottleneck_mean")(x)]
    for level, skip in enumerate(reversed(skips), start=1):
        filters = skip.shape[-1]
        x = layers.UpSampling2D(name=f"decoder{level}_upsample")(x)
        x = conv(x, filters, f"decoder{level}_conv1")
        gate = conv_bn(skip, filters, f"gate{level}_conv", kernel=1, activation="sigmoid", **settings)
        gated = layers.Multiply(name=f"gate{level}_multiply")([skip, gate])
        x = layers.Concatenate(name=f"decoder{level}_concatenate")([x, gated])
        x = conv(x, filters, f"decoder{level}_conv2")
        levels.append(layers.GlobalAveragePooling2D(name=f"decoder{level}_mean")(x))
    x = layers.Concatenate(name="levels")(levels)
    x = dense_bn_relu(x, 256, "features", l2=l2)
    x = layers.Dropout(dropout, name="dropout")(x)
    name = "unet_separable" if separable else "unet_attention"
    return keras.Model(inputs, classifier(x, classes), name=name)
