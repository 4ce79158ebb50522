"""The symbolic graph of a network: every layer's output, nested models opened, the softmax left out."""

import math
from collections.abc import Callable
from typing import Any

import keras

from fer.emotions import IMAGE_SIZE

SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 1)


def flat_graph(model: keras.Model) -> tuple[Any, Any, dict[str, Any]]:
    """Input, output, and the output of every layer by name, with nested models opened."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs[0], name=model.name)
    if not any(isinstance(layer, keras.Model) for layer in model.layers):
        tensors = {
            layer.name: layer.output
            for layer in model.layers
            if not isinstance(layer, keras.layers.InputLayer) and hasattr(layer.output, "shape")
        }
        return model.inputs[0], model.outputs[0], tensors
    tensors = {}

    def call(layer: Any, *arguments: Any, **settings: Any) -> Any:
        if isinstance(layer, keras.Model):
            result = _reconnected(layer, arguments[0], call)
        else:
            result = layer(*arguments, **settings)
        if hasattr(result, "shape"):
            tensors[layer.name] = result
        return result

    inputs = keras.Input(SHAPE, name="images")
    outputs = _reconnected(model, inputs, call)
    return inputs, outputs, tensors


def _reconnected(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """The model's layers, not copies of them, called one by one on `inputs`.

    `keras.models.clone_model` does this too, but cannot start from a tensor in the middle of a graph.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs[0], name=model.name)
    outputs = model._run_through_graph(inputs, operation_fn=lambda layer: layer, call_fn=call)
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def without_softmax(outputs: Any) -> Any:
    """The scores a final softmax is taken of; their logarithm where the last layer is something else."""
    last = outputs._keras_history.operation
    source = last._inbound_nodes[outputs._keras_history.node_index].input_tensors[0]
    activation = getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and activation is keras.activations.softmax
    ):
        return source
    if isinstance(last, keras.layers.Dense) and activation is keras.activations.softmax:
        linear = keras.layers.Dense(last.units, use_bias=last.use_bias, name=f"{last.name}_scores")
        scores = linear(source)
        linear.set_weights(last.get_weights())
        return scores
    if activation is keras.activations.linear and isinstance(last, keras.layers.Dense):
        return outputs
    return keras.ops.log(keras.ops.maximum(outputs, 1e-7))


def grid_of(shape: tuple[int | None, ...]) -> tuple[int, int, int] | None:
    """Rows, columns and leading tokens to skip of a layer's output; None when it has no positions.

    (N, h, w, c) with more than one position, or (N, tokens, c) with h·h tokens or one class token more.
    """
    if len(shape) == 4 and shape[1] and shape[2] and shape[1] * shape[2] > 1:
        return shape[1], shape[2], 0
    if len(shape) == 3 and shape[1]:
        for skipped in (0, 1):
            side = math.isqrt(shape[1] - skipped)
            if side > 1 and side * side == shape[1] - skipped:
                return side, side, skipped
    return None
