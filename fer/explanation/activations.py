"""What layers compute for one image: feature maps, attention maps, activation per dimension (study C)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    import keras


def convolution_layers(model: "keras.Model") -> list[str]:
    """Names of the layers with feature maps (h, w, c) that a convolution computes, first to last."""
    import keras

    return [
        layer.name
        for layer in model.layers
        if isinstance(
            layer, keras.layers.Conv2D | keras.layers.SeparableConv2D | keras.layers.DepthwiseConv2D
        )
        and len(layer.output.shape) == 4
    ]


def feature_maps(model: "keras.Model", image: np.ndarray, layer: str) -> np.ndarray:
    """(c, h, w) float32: what every filter of `layer` answers to a (48, 48) uint8 image.

    Raises:
        UnknownName: no such layer with feature maps.
    """
    from fer.explanation.network import explained

    network = explained(model)
    known = [name for name, tensor in network.tensors.items() if len(tensor.shape) == 4]
    if layer not in known:
        raise UnknownName("layer with feature maps", layer, convolution_layers(model) or known)
    with network.lock:
        return _outputs(model, [network.tensors[layer]], image)[0].transpose(2, 0, 1)


def attention_layers(model: "keras.Model") -> list[str]:
    """Names of the multi-head attention layers, first to last; [] for a network without."""
    import keras

    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.MultiHeadAttention)]


def attention_maps(model: "keras.Model", image: np.ndarray, layer: str | None = None) -> np.ndarray:
    """(heads, rows, columns) float32: how much attention each patch receives.

    From the class token where there is one, else the mean over all patches that attend. Each map sums to
    at most 1: the rest of the attention goes to the class token itself.

    Args:
        layer: of `attention_layers(model)`; None for the last.

    Raises:
        UserError: the network has no attention.
    """
    from fer.explanation.graph import grid_of
    from fer.explanation.network import explained

    known = attention_layers(model)
    if not known:
        raise UserError("This network has no attention layer; choose a transformer to see attention maps.")
    layer = layer or known[-1]
    if layer not in known:
        raise UnknownName("attention layer", layer, known)
    attention = model.get_layer(layer)
    arguments = attention.input
    query = arguments[0] if isinstance(arguments, list | tuple) else arguments
    value = arguments[1] if isinstance(arguments, list | tuple) and len(arguments) > 1 else query
    with explained(model).lock:
        queries, values = _outputs(model, [query, value], image)
    scores = np.asarray(attention(queries[None], values[None], return_attention_scores=True)[1])[0]
    grid = grid_of(value.shape)
    if grid is None:
        raise UserError(f"The {value.shape[1]} tokens of layer {layer!r} do not form a square grid.")
    rows, columns, skipped = grid
    received = scores[:, 0, skipped:] if skipped else scores.mean(axis=1)
    return received.reshape(-1, rows, columns).astype(np.float32)


def token_layers(model: "keras.Model") -> list[str]:
    """Names of the outputs of the transformer blocks, first to last."""
    from fer.explanation.network import explained

    blocks: dict[str, str] = {}
    for name, tensor in explained(model).tensors.items():
        if len(tensor.shape) == 3 and name.endswith("_add2"):
            blocks[name.rsplit("_", 1)[0]] = name
    return list(blocks.values())


def dimension_activations(model: "keras.Model", image: np.ndarray) -> dict[str, np.ndarray]:
    """`{layer: (width,) float32}` mean over the tokens, for the first and the last transformer block.

    Raises:
        UserError: the network has no transformer blocks.
    """
    from fer.explanation.network import explained

    known = token_layers(model)
    if not known:
        raise UserError("This network has no transformer blocks, so no embedding dimensions to show.")
    chosen = [known[0], known[-1]] if len(known) > 1 else known
    network = explained(model)
    with network.lock:
        outputs = _outputs(model, [network.tensors[name] for name in chosen], image)
    return {name: values.mean(axis=0) for name, values in zip(chosen, outputs, strict=True)}


def _outputs(model: "keras.Model", tensors: list[Any], image: np.ndarray) -> list[np.ndarray]:
    """Values of symbolic tensors for one image, without the batch axis."""
    import keras

    from fer.explanation.network import explained

    inputs = np.asarray(image, np.float32)[None, ..., None] / 255
    part = keras.Model(explained(model).inputs, tensors)
    values = part(inputs, training=False)  # Keras hands a single output over without its list
    return [np.asarray(value, np.float32)[0] for value in (values if isinstance(values, list) else [values])]
