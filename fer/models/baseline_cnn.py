"""Baseline CNN: three convolutions and one hidden layer.

Source: study A, baseline. Input (N, 48, 48, 1) float32 in [0, 1]. 57,527 parameters with 7 classes.
Expected: 50.4 % test accuracy, macro F1 0.41 (study A: Adam 1e-3, batch 32, about 14 epochs).

    48×48×1  block1: Conv 3×3 valid, 64, ReLU → 46×46 → max-pool 2 → 23×23
             block2: Conv 3×3 valid, 32, ReLU → 21×21 → max-pool 2 → 10×10
             block3: Conv 3×3 valid, 16, ReLU →  8×8  → max-pool 2 →  4×4
             flatten 256 → Dense 128 ReLU (features) → Dropout 0.5 → Dense 7 → softmax
"""

import keras
from keras import layers

from fer.models.blocks import classifier, image_input


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    dropout: float = 0.5,
) -> keras.Model:
    """The network of the module's docstring; `dropout` is the rate before the last layer."""
    inputs, x = image_input(input_shape, preprocessing)
    for block, filters in enumerate((64, 32, 16), start=1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"block{block}_conv")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="features")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, classifier(x, classes), name="baseline_cnn")
