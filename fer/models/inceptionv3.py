"""InceptionV3 from ImageNet, fine-tuned on faces.

Source: Szegedy et al. 2016; study D. Input (N, 48, 48, 1) float32 in [0, 1].
21,817,127 parameters with 7 classes, 21,802,784 of them the backbone's.
Expected: 44.1 % test accuracy frozen, 49.0 % with the top 50 layers fine-tuned (study D).

    images → 224×224×3, 2·x − 1
           → 310 layers: stem, 11 mixed blocks of parallel convolutions → 5×5×2048
           → mean over positions (features) → Dropout 0.5 → Dense 7 → softmax

Layers are named as `fer.models.backbones` explains; the last feature map is
`backbone_310_mixed10`.
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
        "inceptionv3",
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
