"""ImageNet networks of `keras.applications` on grey 48×48 faces, as one flat graph.

    images (48, 48, 1) in [0, 1]
      → `resize` to `image_size` (bilinear)
      → `channels`: the grey channel three times, or a learned 1×1 convolution (option `channels`)
      → `preprocess`: the scaling the backbone was trained with
      → the backbone's own layers → features → dropout → logits → probabilities

Flat, not nested: a nested backbone would be one layer `resnet50`, and neither Grad-CAM (which needs a
graph from the input to a convolution) nor "train layers 160 to 175" could reach inside. So the backbone
is copied layer by layer into the model's graph and every layer is named

    backbone_<index>_<its name in keras.applications>      for example backbone_174_conv5_block3_out

where <index> counts as `keras.applications` does (0 is its input, so the last of ResNet50 is 174): the
numbers in study B's "layers 160-175" are those in the names, before and after saving. Scaling layers
inside a backbone (EfficientNet, MobileNet) are left out and not counted; `preprocess` replaces them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers

from fer.errors import UnknownName, UserError
from fer.models.blocks import PIXEL_DEVIATION, PIXEL_MEAN, classifier, dense_bn_relu, image_input
from fer.models.layers import Resize

CHANNELS = ("repeat", "adapter")
POOLS = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
PREFIX = "backbone_"


class DownloadFailed(UserError):
    """ImageNet weights could not be downloaded; `settings` are what a training can go on with."""

    kind = "download"
    settings = {"model_options.weights": None}  # noqa: RUF012


@dataclass(frozen=True)
class Backbone:
    """A network of keras.applications: how to build it, and `x * scale + offset` for x in [0, 1]."""

    constructor: str
    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    minimum_size: int
    options: dict[str, Any]


_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BACKBONE_DETAILS = {
    # Blue, green, red less ImageNet's mean: the three channels are equal here, so no reordering.
    "resnet50": Backbone("ResNet50", 255.0, (-103.939, -116.779, -123.68), 32, {}),
    "inceptionv3": Backbone("InceptionV3", 2.0, -1.0, 75, {}),
    "efficientnetb3": Backbone(
        "EfficientNetB3",
        tuple(1 / d for d in _DEVIATION),
        tuple(-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)),
        32,
        {},
    ),
    "xception": Backbone("Xception", 2.0, -1.0, 71, {}),
    "mobilenetv3small": Backbone("MobileNetV3Small", 2.0, -1.0, 32, {"include_preprocessing": False}),
}


def backbone_model(
    name: str,
    input_shape: tuple[int, int, int],
    preprocessing: str,
    weights: str | None,
    channels: str,
    image_size: int,
) -> keras.Model:
    """Images (N, 48, 48, 1) in [0, 1] → the backbone's last feature map (N, h, w, c), one flat graph.

    weights: "imagenet" (downloaded by Keras), the path of a weights file, or None for random ones.
    channels: "repeat" or "adapter"; see the module's docstring.
    Raises `UserError` for a failed download, an unusable file, or a size below the backbone's minimum.
    """
    if name not in BACKBONE_DETAILS:
        raise UnknownName("backbone", name, list(BACKBONE_DETAILS))
    details = BACKBONE_DETAILS[name]
    if image_size < details.minimum_size:
        raise UserError(f"{name} needs images of at least {details.minimum_size} pixels, not {image_size}.")
    inputs, x = image_input(input_shape, preprocessing)
    if preprocessing == "standardise":  # back to the range the backbone's own scaling expects
        x = layers.Rescaling(PIXEL_DEVIATION, PIXEL_MEAN, dtype="float32", name="unit_range")(x)
    x = Resize(image_size, dtype="float32", name="resize")(x)
    x = _three_channels(x, channels)
    scale, offset = _as_list(details.scale), _as_list(details.offset)
    x = layers.Rescaling(scale, offset, dtype="float32", name="preprocess")(x)
    return _graft(_application(name, details, weights, image_size), inputs, x)


def fine_tuned(
    name: str,
    classes: int,
    input_shape: tuple[int, int, int],
    preprocessing: str,
    weights: str | None,
    channels: str,
    image_size: int,
    pool: str,
    hidden: int,
    dropout: float,
) -> keras.Model:
    """A backbone with the usual head: pool over positions, a hidden layer if `hidden`, dropout, softmax.

    pool: "average" or "max". hidden: units of a Dense, BN, ReLU layer; 0 for none.
    """
    if pool not in POOLS:
        raise UnknownName("pool", pool, list(POOLS))
    backbone = backbone_model(name, input_shape, preprocessing, weights, channels, image_size)
    x = POOLS[pool](name="pool" if hidden else "features")(backbone.output)
    if hidden:
        x = dense_bn_relu(x, hidden, "features")
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(backbone.input, classifier(x, classes), name=name)


def backbone_layers(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """The backbone's layers inside `model` by their index in keras.applications, in order from 0.

    Index 0, the application's input, is `preprocess` here, which has no weights. Empty if `model` has no
    backbone.
    """
    found = {}
    for layer in model.layers:
        if match := re.match(rf"{PREFIX}(\d+)_", layer.name):
            found[int(match.group(1))] = layer
    if found:
        found[0] = model.get_layer("preprocess")
    return dict(sorted(found.items()))


def _three_channels(x: keras.KerasTensor, channels: str) -> keras.KerasTensor:
    if channels not in CHANNELS:
        raise UnknownName("channels", channels, CHANNELS)
    if x.shape[-1] == 3 and channels == "repeat":
        return x
    if channels == "repeat":
        return layers.Concatenate(name="channels")([x, x, x])
    # Starts as the repetition and learns from there.
    return layers.Conv2D(3, 1, kernel_initializer="ones", dtype="float32", name="channels")(x)


def _application(name: str, details: Backbone, weights: str | None, size: int) -> keras.Model:
    """The network as keras.applications builds it, with its weights."""
    constructor = getattr(keras.applications, details.constructor)
    arguments = {"include_top": False, "input_shape": (size, size, 3), **details.options}
    if weights is None:
        return constructor(weights=None, **arguments)
    if weights == "imagenet":
        try:
            return constructor(weights="imagenet", **arguments)
        except Exception as error:  # Keras raises a plain Exception when its download fails
            raise DownloadFailed(
                f"The ImageNet weights of {name} could not be downloaded ({_short(error)}): try again with "
                f"a network, give a weights file (model option weights=FILE), or train from scratch "
                f"(weights=None)."
            ) from error
    if not Path(weights).is_file():
        raise UserError(f"There is no weights file {weights}. Give its path, 'imagenet' or None.")
    try:
        application = constructor(weights=None, **arguments)
        application.load_weights(weights)
    except Exception as error:  # h5py, zipfile and Keras each have their own
        raise UserError(
            f"The weights file {weights} does not fit {name} without its top ({_short(error)}); "
            f"use the file of keras.applications whose name ends in notop, 'imagenet' or None."
        ) from error
    return application


def _graft(application: keras.Model, inputs: keras.KerasTensor, x: keras.KerasTensor) -> keras.Model:
    """A copy of `application` that reads `x`, a tensor computed from `inputs`, in one graph."""
    names = _stable_names(application)
    copies: list[tuple[keras.Operation, keras.Operation]] = []

    def copy(operation: keras.Operation) -> keras.Operation:
        config = operation.get_config()
        twin = operation.__class__.from_config({**config, "name": names[operation.name]})
        copies.append((operation, twin))
        return twin

    def call(operation: keras.Operation, *arguments: Any, **options: Any) -> Any:
        arguments = tuple(x if argument is inputs else argument for argument in arguments)
        if isinstance(operation, layers.Rescaling | layers.Normalization):
            return arguments[0]
        return operation(*arguments, **options)

    model = keras.models.clone_model(
        application, input_tensors=inputs, clone_function=copy, call_function=call
    )
    for original, twin in copies:
        if isinstance(twin, keras.layers.Layer) and twin.built:
            twin.set_weights(original.get_weights())
    return model


def _stable_names(application: keras.Model) -> dict[str, str]:
    """The name in our graph of every operation: Keras's automatic numbers depend on the session."""
    names: dict[str, str] = {}
    index = 0
    for layer in application.layers:
        if isinstance(layer, layers.Rescaling | layers.Normalization):
            names[layer.name] = layer.name
            continue
        names[layer.name] = f"{PREFIX}{index:03d}_{_without_number(layer)}"
        index += 1
    rest = [operation for operation in application.operations if operation.name not in names]
    for number, operation in enumerate(rest):
        names[operation.name] = f"{PREFIX}operation_{number:03d}_{_without_number(operation)}"
    return names


def _without_number(operation: keras.Operation) -> str:
    """The name, less the number Keras appends to names it makes up: conv2d_57 → conv2d."""
    stem = re.sub(r"_\d+$", "", operation.name)
    made_up = stem.replace("_", "") == type(operation).__name__.lower()
    return stem if made_up else operation.name


def _as_list(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
