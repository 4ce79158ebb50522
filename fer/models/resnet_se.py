"""Residual network with squeeze-excite, sized for 48×48 faces and a CPU.

Source: ours; residual blocks of He et al. 2016, shortcuts that average before they project (He et al. 2019,
"Bag of tricks"), squeeze-excite of Hu et al. 2018. Input (N, 48, 48, 1) float32 in [0, 1].
1,444,631 parameters with 7 classes, so that float32 weights fit in 6 MB.
Expected: 67 to 69 % on PublicTest after 35 epochs (SGD with Nesterov, cosine, label smoothing,
shift/rotate/flip/cutout; a plain network of this size reached 67.6 %).

    48×48×1    stem: Conv 3×3 32, BN, ReLU
    48×48×32   stage1: 1 residual block
    24×24×64   stage2: 2 residual blocks, the first with stride 2
    12×12×128  stage3: 2
      6×6×224  stage4: 1
               mean over positions (features) → Dropout 0.2 → Dense 7 → softmax

block = ReLU(shortcut + squeeze-excite(BN(Conv 3×3(ReLU(BN(Conv 3×3)))))). The first stage is narrow because
it costs most: 48 filters there and three stages (48, 96, 192) take twice the time per step on a CPU.
"""

import keras
from keras import layers

from fer.errors import UserError
from fer.models.blocks import classifier, conv_bn, image_input, squeeze_excite

MOMENTUM = 0.9  # of batch normalisation: the learning rates of our recipes are high


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    widths: tuple[int, ...] = (32, 64, 128, 224),
    blocks: tuple[int, ...] = (1, 2, 2, 1),
    ratio: int = 8,
    dropout: float = 0.2,
) -> keras.Model:
    """The network of the module's docstring; lengthen or widen it as you like.

    widths: filters of each stage, each at half the resolution of the one before. blocks: residual blocks
    in each. ratio: channels over hidden units in squeeze-excite; 0 leaves it out.
    """
    if len(widths) != len(blocks):
        raise UserError(f"{len(widths)} widths and {len(blocks)} block counts: give one of each per stage.")
    inputs, x = image_input(input_shape, preprocessing)
    x = conv_bn(x, widths[0], "stem_conv", momentum=MOMENTUM)
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _residual(x, filters, f"stage{stage}_block{block}", strides, ratio)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, classifier(x, classes), name="resnet_se")


def _residual(x: keras.KerasTensor, filters: int, name: str, strides: int, ratio: int) -> keras.KerasTensor:
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, name=f"{name}_shortcut_pool")(shortcut)
    if x.shape[-1] != filters:
        shortcut = conv_bn(
            shortcut, filters, f"{name}_shortcut", kernel=1, activation=None, momentum=MOMENTUM
        )
    x = conv_bn(x, filters, f"{name}_conv1", strides=strides, momentum=MOMENTUM)
    x = conv_bn(x, filters, f"{name}_conv2", activation=None, momentum=MOMENTUM)
    if ratio:
        x = squeeze_excite(x, ratio, f"{name}_se")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)
