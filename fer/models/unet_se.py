"""Residual U-Net with squeeze-excite and spatial skip attention.

Source: study A, its second U-Net; squeeze-excite of Hu et al. 2018, 7×7 spatial attention as in CBAM
(Woo et al. 2018) over two learned 1×1 projections. Input (N, 48, 48, 1) float32 in [0, 1].
2,201,057 parameters with 7 classes (the study's count was not printed; this one is ours).
Expected: 60.0 % test accuracy (study A: Adam 1.4e-4, 1.8e-4, then 2e-4, class weights, 45 epochs).

    48×48×1   encoder1: residual 64 ───────────────────────────── skip × attention ┐
    24×24     max-pool, spatial dropout 0.15                                       │
              encoder2: residual 128 ───────── skip × attention ┐                  │
    12×12     max-pool, spatial dropout 0.25                    │                  │
              bottleneck: residual 256, first conv dilated 2, squeeze-excite 16    │
    24×24     decoder1: upsample, Conv 128, concatenate ────────┘ Conv 128         │
    48×48     decoder2: upsample, Conv 64, concatenate ────────────────────────────┘ Conv 64
    features  mean and max over positions of the three levels: 2 × (256 + 128 + 64) = 896
              → Dropout 0.3 → Dense 256 ReLU → Dropout 0.6 → Dense 128 ReLU → Dropout 0.5 → Dense 7 → softmax

residual n = ReLU(BN(Conv 3×3 n(ReLU(BN(Conv 3×3 n)))) + BN(Conv 1×1 n)), L2 2e-4 on every convolution;
attention = sigmoid(Conv 7×7(two 1×1 projections of the skip)), one map multiplied into all channels.
"""

import keras
from keras import layers

from fer.models.blocks import classifier, conv_bn, image_input, squeeze_excite


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    width: int = 64,
    spatial_dropout: tuple[float, float] = (0.15, 0.25),
    dropout: tuple[float, float, float] = (0.3, 0.6, 0.5),
    l2: float = 2e-4,
) -> keras.Model:
    """The network of the module's docstring; `dropout` has the rates before each dense layer."""
    inputs, x = image_input(input_shape, preprocessing)
    skips = []
    for level, rate in enumerate(spatial_dropout, start=1):
        x = _residual(x, width * 2 ** (level - 1), f"encoder{level}", l2)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"encoder{level}_pool")(x)
        x = layers.SpatialDropout2D(rate, name=f"encoder{level}_dropout")(x)
    x = _residual(x, width * 4, "bottleneck", l2, dilation=2)
    x = squeeze_excite(x, 16, "bottleneck_se")
    levels = _pools(x, "bottleneck")
    for level, skip in enumerate(reversed(skips), start=1):
        name = f"decoder{level}"
        x = layers.UpSampling2D(name=f"{name}_upsample")(x)
        x = conv_bn(x, skip.shape[-1], f"{name}_conv1", l2=l2)
        x = layers.Concatenate(name=f"{name}_concatenate")([x, _attend(skip, f"skip{level}", l2)])
        x = conv_bn(x, skip.shape[-1], f"{name}_conv2", l2=l2)
        levels += _pools(x, name)
    x = layers.Concatenate(name="levels")(levels)
    x = layers.Dropout(dropout[0], name="dropout1")(x)
    x = layers.Dense(256, activation="relu", name="hidden")(x)
    x = layers.Dropout(dropout[1], name="dropout2")(x)
    x = layers.Dense(128, activation="relu", name="features")(x)
    x = layers.Dropout(dropout[2], name="dropout3")(x)
    return keras.Model(inputs, classifier(x, classes), name="unet_se")


def _residual(
    x: keras.KerasTensor, filters: int, name: str, l2: float, dilation: int = 1
) -> keras.KerasTensor:
    shortcut = conv_bn(x, filters, f"{name}_shortcut", kernel=1, activation=None, l2=l2)
    x = conv_bn(x, filters, f"{name}_conv1", dilation=dilation, l2=l2)
    x = conv_bn(x, filters, f"{name}_conv2", activation=None, l2=l2)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _attend(skip: keras.KerasTensor, name: str, l2: float) -> keras.KerasTensor:
    penalty = keras.regularizers.L2(l2)
    projections = layers.Conv2D(2, 1, kernel_regularizer=penalty, name=f"{name}_projections")(skip)
    attention = layers.Conv2D(
        1, 7, padding="same", activation="sigmoid", kernel_regularizer=penalty, name=f"{name}_attention"
    )(projections)
    return layers.Multiply(name=f"{name}_multiply")([skip, attention])


def _pools(x: keras.KerasTensor, name: str) -> list[keras.KerasTensor]:
    mean = layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)
    return [mean, layers.GlobalMaxPooling2D(name=f"{name}_max")(x)]
