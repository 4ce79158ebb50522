"""The attention U-Net with depthwise-separable convolutions: an ablation of study A.

Source: study A (ablation), depthwise-separable convolutions of Chollet 2017 (Xception). The same graph
as `unet_attention`; each 3×3 convolution but the first (one channel has no depth to separate) is a 3×3
convolution per channel followed by a 1×1 across channels. Input (N, 48, 48, 1) float32 in [0, 1].
367,751 parameters with 7 classes. Expected: about 62 % on test (study A: 3 points below the U-Net's 64.8).
"""

import keras

from fer.models import unet_attention


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    width: int = 64,
    spatial_dropout: tuple[float, float] = (0.1, 0.2),
    dropout: float = 0.5,
    l2: float = 1e-4,
) -> keras.Model:
    """The network of the module's docstring; options as in `unet_attention`."""
    return unet_attention.build(
        classes,
        input_shape,
        preprocessing,
        width=width,
        spatial_dropout=spatial_dropout,
        dropout=dropout,
        l2=l2,
        separable=True,
    )
