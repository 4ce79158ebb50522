"""Xception from ImageNet, fine-tuned on faces.

Source: Chollet 2017; study B. Input (N, 48, 48, 1) float32 in [0, 1].
20,875,823 parameters with 7 classes, 20,861,480 of them the backbone's.
Expected: balanced accuracy 24.6 % (study B, under its hybrid head).

    images → 224×224×3, 2·x − 1
           → 131 layers: 14 blocks of depthwise-separable convolutions → 7×7×2048
           → mean over positions (features) → Dropout 0.5 → Dense 7 → softmax

Layers are named as `fer.models.backbones` explains; the last feature map is
`backbone_131_block14_sepconv2_act`.
"""

import keras

from fer.models.backbones import fine_tuned


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    weights: str | None = "imagenet",
    channels: str = "repeat",
    image_size: int = 224,
    pool: str = "average",
    hidden: int = 0,
    dropout: float = 0.5,
) -> keras.Model:
    """The network of the module's docstring; the options are those of `fer.models.backbones`."""
    return fine_tuned(
        "xception",
        classes,
        input_shape,
        preprocessing,
        weights=weights,
        channels=channels,
        image_size=image_size,
        pool=pool,
        hidden=hidden,
        dropout=dropout,
    )
