"""The first and last layers every network shares, and blocks used by more than one of them.

A block takes a tensor and a name and returns a tensor; its layers are called `<name>_<part>`.
"""

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


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    kernel: int = 3,
    strides: int = 1,
    activation: str | None = "relu",
    bias: bool = False,
    l2: float = 0.0,
    dilation: int = 1,
    separable: bool = False,
    momentum: float = 0.99,
) -> keras.KerasTensor:
    """Convolution (`name`), batch normalisation (`name`_bn), activation (`name`_<activation>).

    A bias is redundant before batch normalisation; `bias` keeps it where a study's count has it.
    separable: a depthwise and a 1×1 convolution instead (Chollet 2017). momentum: of the statistics used in
    inference, Keras's own by default; 0.9 follows weights that a high learning rate moves fast, where 0.99
    trails 100 steps behind and the validation of the early epochs says nothing.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    settings = {
        "padding": "same",
        "strides": strides,
        "dilation_rate": dilation,
        "use_bias": bias,
        "name": name,
    }
    if separable:
        settings |= {"depthwise_regularizer": penalty, "pointwise_regularizer": penalty}
        convolution = layers.SeparableConv2D(filters, kernel, **settings)
    else:
        settings |= {"kernel_initializer": "he_normal", "kernel_regularizer": penalty}
        convolution = layers.Conv2D(filters, kernel, **settings)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(convolution(x))
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def squeeze_excite(x: keras.KerasTensor, ratio: int, name: str) -> keras.KerasTensor:
    """Weigh the channels by a two-layer network of their means (Hu et al. 2018). Same shape."""
    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weights = layers.Dense(max(channels // ratio, 4), activation="relu", name=f"{name}_reduce")(weights)
    weights = layers.Dense(channels, activation="sigmoid", name=f"{name}_expand")(weights)
    return layers.Multiply(name=f"{name}_excite")([x, weights])


def transformer_block(
    tokens: keras.KerasTensor,
    name: str,
    heads: int,
    key_size: int,
    hidden: int,
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> keras.KerasTensor:
    """Pre-norm encoder block (Vaswani et al. 2017; ViT, Dosovitskiy et al. 2021), (N, tokens, width).

    x + attention(norm(x)), then x + MLP(norm(x)) with GELU. `drop_path` is the rate at which a whole
    branch is dropped for an image while training (stochastic depth, Huang et al. 2016).
    """

    def residual(x: keras.KerasTensor, branch: keras.KerasTensor, part: int) -> keras.KerasTensor:
        if drop_path:
            dropped = layers.Dropout(drop_path, noise_shape=(None, 1, 1), name=f"{name}_drop_path{part}")
            branch = dropped(branch)
        return layers.Add(name=f"{name}_add{part}")([x, branch])

    width = tokens.shape[-1]
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(tokens)
    x = layers.MultiHeadAttention(heads, key_size, dropout=dropout, name=f"{name}_attention")(x, x)
    tokens = residual(tokens, x, 1)
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(tokens)
    x = layers.Dense(hidden, activation="gelu", name=f"{name}_mlp1")(x)
    x = layers.Dropout(dropout, name=f"{name}_mlp_dropout1")(x)
    x = layers.Dense(width, name=f"{name}_mlp2")(x)
    x = layers.Dropout(dropout, name=f"{name}_mlp_dropout2")(x)
    return residual(tokens, x, 2)


def patch_tokens(x: keras.KerasTensor, patch: int, width: int) -> keras.KerasTensor:
    """Cut images into patch × patch squares and embed each linearly: (N, rows × columns, width)."""
    x = layers.Conv2D(width, patch, strides=patch, name="patch_embedding")(x)
    return layers.Reshape((x.shape[1] * x.shape[2], width), name="tokens")(x)


def dense_bn_relu(
    x: keras.KerasTensor, units: int, name: str, l2: float = 0.0, momentum: float = 0.99
) -> keras.KerasTensor:
    """Dense (`name`_dense), batch normalisation (`name`_bn) and ReLU, which is called `name` itself.

    momentum: as in `conv_bn`.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    x = layers.Dense(units, kernel_regularizer=penalty, name=f"{name}_dense")(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=name)(x)


def spatial_channel_attention(x: keras.KerasTensor, ratio: int, name: str) -> keras.KerasTensor:
    """Weigh channels, then positions (CBAM, Woo et al. 2018). (N, h, w, c) → the same shape.

    Channels: one two-layer network reads their means and their maxima; the sum goes through a sigmoid.
    Positions: sigmoid(Conv 7×7) of the mean and the maximum over the channels.
    """
    rows, columns, channels = x.shape[1:]
    reduce = layers.Dense(max(channels // ratio, 4), activation="relu", name=f"{name}_reduce")
    expand = layers.Dense(channels, name=f"{name}_expand")
    mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    peak = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}_max")(x)
    weights = layers.Add(name=f"{name}_add")([expand(reduce(mean)), expand(reduce(peak))])
    weights = layers.Activation("sigmoid", name=f"{name}_channel_weights")(weights)
    x = layers.Multiply(name=f"{name}_channels")([x, weights])
    # Keras pools over positions only: with positions and channels swapped it pools over channels.
    flat = layers.Reshape((rows * columns, channels), name=f"{name}_flat")(x)
    swapped = layers.Permute((2, 1), name=f"{name}_swapped")(flat)
    mean = layers.GlobalAveragePooling1D(name=f"{name}_position_mean")(swapped)
    peak = layers.GlobalMaxPooling1D(name=f"{name}_position_max")(swapped)
    mean = layers.Reshape((rows, columns, 1), name=f"{name}_mean_map")(mean)
    peak = layers.Reshape((rows, columns, 1), name=f"{name}_max_map")(peak)
    weights = layers.Concatenate(name=f"{name}_maps")([mean, peak])
    weights = layers.Conv2D(1, 7, padding="same", name=f"{name}_conv")(weights)
    weights = layers.Activation("sigmoid", name=f"{name}_position_weights")(weights)
    return layers.Multiply(name=name)([x, weights])
