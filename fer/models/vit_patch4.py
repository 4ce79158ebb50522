"""Small vision transformer on 4×4 patches, averaged over the tokens.

Source: study C; ViT of Dosovitskiy et al. 2021 without a class token. Input (N, 48, 48, 1) float32 in
[0, 1]. 24,487 parameters with 7 classes (key size and MLP width are ours: the study gives neither).
Expected: 39.6 % test accuracy, 41.9 % after retraining on its mistakes (study C).

    48×48×1 → 12×12 patches of 4×4 → Dense 16 each → + learned positions (144×16)
            → 4 × [x + attention(norm x), 4 heads of 16; x + MLP 32 (norm x)]
            → LayerNorm → mean over the 144 tokens (features) → Dense 7 → softmax
"""

import keras
from keras import layers

from fer.models.blocks import classifier, image_input, patch_tokens, transformer_block
from fer.models.layers import PositionEmbedding


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    patch: int = 4,
    width: int = 16,
    blocks: int = 4,
    heads: int = 4,
    key_size: int = 16,
    hidden: int = 32,
    dropout: float = 0.1,
) -> keras.Model:
    """The network of the module's docstring; `dropout` applies inside the blocks."""
    inputs, x = image_input(input_shape, preprocessing)
    x = patch_tokens(x, patch, width)
    x = PositionEmbedding(name="positions")(x)
    for block in range(1, blocks + 1):
        x = transformer_block(x, f"block{block}", heads, key_size, hidden, dropout)
    x = layers.LayerNormalization(epsilon=1e-6, name="encoder_norm")(x)
    x = layers.GlobalAveragePooling1D(name="features")(x)
    return keras.Model(inputs, classifier(x, classes), name="vit_patch4")
