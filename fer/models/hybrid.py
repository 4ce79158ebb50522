"""Attention, a small transformer and one branch per hard class, on any of the backbones.

Source: study B; spatial-channel attention as in CBAM (Woo et al. 2018), pre-norm transformer block.
Input (N, 48, 48, 1) float32 in [0, 1]. 25,446,122 parameters on ResNet50 with 7 classes (study B: 77.4 M;
it gives no widths, so these are ours). Expected with ResNet50: balanced accuracy 58.3 to 58.9 %, macro F1
57.4 to 58.3 % (study B); EfficientNetB3: kappa 42.8 %; Xception: balanced accuracy 24.6 %;
MobileNetV3Small: macro F1 17.7 %.

    images → backbone → feature map h×w×c
           → attention: channel weights, then position weights, multiplied into the map
           → Conv 1×1 to `width` → h·w tokens + learned positions
           → transformer block: `heads` heads, MLP 2·width → LayerNorm
           → trunk: mean of the tokens
             one branch per class in `hard_classes`: Dense 128, BN, ReLU of the trunk
             with `multi_scale`: the means of two earlier stages of the backbone as well
           → fusion: concatenate → Dense 256, BN, ReLU (features) → Dropout 0.5 → Dense 7 → softmax

"Efficient" is that attention sees `width` channels, not the backbone's 2,048: its cost falls by
(2048 / 256)² for each projection.
"""

from collections.abc import Sequence

import keras
from keras import layers

from fer.models.backbones import backbone_layers, backbone_model
from fer.models.blocks import classifier, dense_bn_relu, spatial_channel_attention, transformer_block
from fer.models.layers import PositionEmbedding


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    backbone: str = "resnet50",
    weights: str | None = "imagenet",
    channels: str = "repeat",
    image_size: int = 224,
    width: int = 256,
    heads: int = 4,
    hard_classes: Sequence[str] = ("disgust", "fear", "sad"),
    branch_units: int = 128,
    multi_scale: bool = False,
    dropout: float = 0.5,
) -> keras.Model:
    """The network of the module's docstring; backbone options as in `fer.models.backbones`."""
    base = backbone_model(backbone, input_shape, preprocessing, weights, channels, image_size)
    x = spatial_channel_attention(base.output, 16, "attention")
    x = layers.Conv2D(width, 1, name="projection")(x)
    x = layers.Reshape((x.shape[1] * x.shape[2], width), name="tokens")(x)
    x = PositionEmbedding(name="positions")(x)
    x = transformer_block(x, "transformer", heads, width // heads, 2 * width, dropout=0.1)
    x = layers.LayerNormalization(epsilon=1e-6, name="transformer_norm")(x)
    trunk = layers.GlobalAveragePooling1D(name="trunk")(x)
    parts = [trunk, *(dense_bn_relu(trunk, branch_units, f"branch_{emotion}") for emotion in hard_classes)]
    if multi_scale:
        parts += _earlier_stages(base)
    x = layers.Concatenate(name="fusion")(parts)
    x = dense_bn_relu(x, 256, "features")
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(base.input, classifier(x, classes), name=f"hybrid_{backbone}")


def _earlier_stages(base: keras.Model) -> list[keras.KerasTensor]:
    """Means over positions of the last feature maps of twice and four times the final resolution."""
    final = base.output.shape[1]
    last: dict[int, keras.KerasTensor] = {}
    for layer in backbone_layers(base).values():
        size = layer.output.shape[1]
        if isinstance(layer, layers.Activation | layers.ReLU) and size > final:
            last[size] = layer.output
    stages = [last[size] for size in sorted(last)[:2]]
    return [
        layers.GlobalAveragePooling2D(name=f"stage_{number}_mean")(stage)
        for number, stage in enumerate(stages, start=1)
    ]
