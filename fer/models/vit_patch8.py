"""Vision transformer on 8×8 patches with a class token.

Source: study A; ViT of Dosovitskiy et al. 2021. Input (N, 48, 48, 1) float32 in [0, 1].
605,127 parameters with 7 classes: patches 4,160, positions 2,304, class token 64, encoder 598,016,
head 583. Expected: 30.3 % test accuracy (study A: Adam 1e-4, 20 epochs, no augmentation): 36 tokens,
no convolution and 28,709 images are too little for it to learn what a face is.

    48×48×1 → 6×6 patches of 8×8 → Dense 64 each → + learned positions (36×64)
            → class token prepended (37×64)
            → 4 × [x + attention(norm x), 8 heads of 64; x + MLP 128 (norm x)]
            → the class token (no norm after the encoder) → LayerNorm (features) → Dense 7 → softmax

Grad-CAM reads the input of the last attention: after it only the class token matters.
"""

import keras
from keras import layers

from fer.models.blocks import classifier, image_input, patch_tokens, transformer_block
from fer.models.layers import ClassToken, PositionEmbedding


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    patch: int = 8,
    width: int = 64,
    blocks: int = 4,
    heads: int = 8,
    key_size: int = 64,
    hidden: int = 128,
    dropout: float = 0.1,
) -> keras.Model:
    """The network of the module's docstring; `dropout` applies inside the blocks."""
    inputs, x = image_input(input_shape, preprocessing)
    x = patch_tokens(x, patch, width)
    x = PositionEmbedding(name="positions")(x)
    tokens = x.shape[1]
    x = ClassToken(name="class_token")(x)
    for block in range(1, blocks + 1):
        x = transformer_block(x, f"block{block}", heads, key_size, hidden, dropout)
    x = layers.Cropping1D((0, tokens), name="read_class_token")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="features")(x)
    return keras.Model(inputs, classifier(x, classes), name="vit_patch8")
