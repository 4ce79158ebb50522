"""Compact convolutional transformer: the studies' question about transformers, asked properly.

Source: Hassani et al. 2021, "Escaping the Big Data Paradigm with Compact Transformers" (arXiv 2104.05704):
a convolutional tokenizer instead of patches, and sequence pooling instead of a class token. Batch
normalisation in the tokenizer is ours (Xiao et al. 2021, "Early convolutions help transformers see better").
Input (N, 48, 48, 1) float32 in [0, 1]. 2,106,280 parameters with 7 classes.
Expected: above 60 % on PublicTest from scratch (the studies' plain ViTs: 30 to 42 %).

    48×48×1   tokenizer: Conv 3×3, BN, ReLU, max-pool 3 stride 2; 32, 64, 128 filters
     6×6×128  Conv 3×3 192, BN → 36 tokens of 192 → + learned positions
              → 6 × [x + attention(norm x), 4 heads of 48; x + MLP 384 (norm x)], stochastic depth to 0.1
              → LayerNorm → mean of the tokens weighted by a learned score (features) → Dense 7 → softmax

36 tokens, not 144 (stem of two): a training step is 3.7 times faster on a CPU than with `stem=(64, 128)`.
"""

import keras
from keras import layers

from fer.errors import UserError
from fer.models.blocks import classifier, conv_bn, image_input, transformer_block
from fer.models.layers import PositionEmbedding

MOMENTUM = 0.9  # of batch normalisation: the learning rates of our recipes are high


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    stem: tuple[int, ...] = (32, 64, 128),
    width: int = 192,
    blocks: int = 6,
    heads: int = 4,
    ratio: int = 2,
    dropout: float = 0.0,
    drop_path: float = 0.1,
) -> keras.Model:
    """The network of the module's docstring; `ratio` is the MLP's width over the tokens'.

    stem: filters of the tokenizer's stages, each of which halves the grid of tokens. dropout: in attention
    and MLP; none by default, as in the paper's MLPs, for stochastic depth and augmentation regularise already
    and drawing the masks is a fifth of a step on a CPU.
    """
    if width % heads:
        raise UserError(f"The width {width} cannot be divided among {heads} heads; choose a multiple.")
    inputs, x = image_input(input_shape, preprocessing)
    for number, filters in enumerate(stem, start=1):
        x = conv_bn(x, filters, f"tokenizer_conv{number}", momentum=MOMENTUM)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"tokenizer_pool{number}")(x)
    x = conv_bn(x, width, f"tokenizer_conv{len(stem) + 1}", activation=None, momentum=MOMENTUM)
    x = layers.Reshape((x.shape[1] * x.shape[2], width), name="tokens")(x)
    x = PositionEmbedding(name="positions")(x)
    for block in range(1, blocks + 1):
        rate = drop_path * (block - 1) / max(blocks - 1, 1)
        x = transformer_block(x, f"block{block}", heads, width // heads, width * ratio, dropout, rate)
    x = layers.LayerNormalization(epsilon=1e-6, name="encoder_norm")(x)
    return keras.Model(inputs, classifier(_sequence_pool(x), classes), name="cct")


def _sequence_pool(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Mean of the tokens, weighted by a learned linear score (Hassani et al. 2021, section 3.2)."""
    weights = layers.Dense(1, name="pool_score")(tokens)
    weights = layers.Softmax(axis=1, dtype="float32", name="pool_weights")(weights)
    pooled = layers.Dot(axes=1, name="pool")([weights, tokens])
    return layers.Flatten(name="features")(pooled)
