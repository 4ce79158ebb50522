"""EfficientNetB3 from ImageNet, fine-tuned on faces.

Source: Tan & Le 2019; studies A (ablation) and B. Input (N, 48, 48, 1) float32 in [0, 1].
10,794,287 parameters with 7 classes, 10,783,528 of them the backbone's.
Expected: kappa 42.8 %, recall sad 73 %, fear 12 % (study B, under its hybrid head).

    images → 224×224×3, (x − mean) / deviation of ImageNet
           → 381 layers: 26 inverted residual blocks with squeeze-excite → 7×7×1536
           → mean over positions (features) → Dropout 0.5 → Dense 7 → softmax

Layers are named as `fer.models.backbones` explains; the last feature map is
`backbone_381_top_activation`.
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
        "efficientnetb3",
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
