"""Four convolution blocks and three hidden layers.

Source: study C. Input (N, 48, 48, 1) float32 in [0, 1]. 4,061,703 parameters with 7 classes.
Expected: 62.9 % test accuracy; 64.7 % after retraining on its mistakes and then with augmentation.

    48×48×1   block1..4: Conv 3×3 same, ReLU, BN, max-pool 2; 64, 128, 256, 512 filters
     3×3×512  flatten 4,608 → Dropout 0.3
              → Dense 512 ReLU → Dense 256 ReLU → Dense 64 ReLU (features) → Dense 7 → softmax
"""

import keras
from keras import layers

from fer.models.blocks import classifier, image_input


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    dropout: float = 0.3,
    block_dropout: float = 0.0,
    hidden_dropout: float = 0.0,
) -> keras.Model:
    """The network of the module's docstring.

    dropout: after the flattening, as in the study. block_dropout, hidden_dropout: after each block and
    between the hidden layers, for those who want more of it.
    """
    inputs, x = image_input(input_shape, preprocessing)
    for block, filters in enumerate((64, 128, 256, 512), start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv")(x)
        x = layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
        if block_dropout:
            x = layers.Dropout(block_dropout, name=f"block{block}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    for number, units in enumerate((512, 256), start=1):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
        if hidden_dropout:
            x = layers.Dropout(hidden_dropout, name=f"hidden{number}_dropout")(x)
    x = layers.Dense(64, activation="relu", name="features")(x)
    return keras.Model(inputs, classifier(x, classes), name="cnn4")
