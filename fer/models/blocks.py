"""The first and last layers every network shares, and blocks used by more than one of them."""

import keras
from keras import layers

# Mean and standard deviation of FER-2013's training pixels in [0, 1] (measured, see the Explore page).
PIXEL_MEAN, PIXEL_DEVIATION = 0.5077, 0.2551


def image_input(
    input_shape: tuple[int, int, int], preprocessing: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input layer, and the images as the network reads them.

    input_shape: (rows, columns, channels) of images in [0, 1].
    preprocessing: "scale" leaves them so; "standardise" gives each image mean 0 and variance 1.
    """
    inputs = keras.Input(input_shape, name="images")
    if preprocessing == "scale":
        return inputs, inputs
    standardise = layers.LayerNormalization(
        axis=(1, 2, 3), center=False, scale=False, epsilon=1e-5, dtype="float32", name="standardise"
    )
    return inputs, standardise(inputs)


def classifier(features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Linear layer `logits` and softmax `probabilities`, (N, classes), in float32 at any precision."""
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return layers.Softmax(dtype="float32", name="probabilities")(logits)
