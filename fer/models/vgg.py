"""VGG with batch normalisation, the best published single network trained on FER-2013 alone.

Source: Khaireddin & Chen 2021, "Facial Emotion Recognition: State of the Art Performance on FER2013"
(arXiv 2105.03588). Input (N, 48, 48, 1) float32 in [0, 1]. 7,320,135 parameters with 7 classes.
Expected: 73.28 % on PrivateTest in the paper (SGD with Nesterov, 300 epochs, ten crops, checkpoint chosen
on PrivateTest); 67.1 % on PublicTest here (65.7 % without leaked images) after 24 epochs. Ours in it: the
two dense layers are normalised too and dropped out once, behind both (in the paper's way, with dropout after
each, four epochs of our recipe came to 28 % on validation, and so to 54 %), and have 512 units instead of
4,096.

    48×48×1   block1..4: two of (Conv 3×3 same, BN, ReLU), max-pool 2; 64, 128, 256, 512 filters
     3×3×512  flatten 4,608 → two of (Dense, BN, ReLU), the second the features → Dropout → Dense 7 → softmax
"""

import keras
from keras import layers

from fer.models.blocks import classifier, conv_bn, dense_bn_relu, image_input

MOMENTUM = 0.9  # of batch normalisation: the learning rates of our recipes are high


def build(
    classes: int = 7,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    preprocessing: str = "scale",
    width: int = 64,
    hidden: int = 512,
    dropout: float = 0.4,
) -> keras.Model:
    """The network of the module's docstring; `width` is the number of filters of the first block."""
    inputs, x = image_input(input_shape, preprocessing)
    for block in range(1, 5):
        for number in (1, 2):
            x = conv_bn(x, width * 2 ** (block - 1), f"block{block}_conv{number}", momentum=MOMENTUM)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("hidden", "features"):
        x = dense_bn_relu(x, hidden, name, momentum=MOMENTUM)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, classifier(x, classes), name="vgg")
