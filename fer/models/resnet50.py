"""ResNet50 from ImageNet, fine-tuned on faces.

Source: He et al. 2016; study A. Input (N, 48, 48, 1) float32 in [0, 1].
24,115,079 parameters with 7 classes, 23,587,712 of them the backbone's.
Expected: 67.8 % test accuracy, macro F1 0.66 (study A: AdamW 1e-4, top 40 % of the layers, 20 epochs).

    images → 224×224×3, 255·x less ImageNet's mean colour
           → 174 layers: 7×7 convolution, 16 bottleneck blocks in 4 stages → 7×7×2048
           → max over positions → Dense 256, BN, ReLU (features) → Dropout 0.5 → Dense 7 → softmax

Layers are named as `fer.models.backbones` explains; the last feature map is
`backbone_174_conv5_block3_out`.
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
    pool: str = "max",
    hidden: int = 256,
    dropout: float = 0.5,
) -> keras.Model:
    """The network of the module's docstring; the options are those of `fer.models.backbones`."""
    return fine_tuned(
        "resnet50",
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
