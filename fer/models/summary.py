"""A network as a table of its layers and as a diagram of its blocks, without system packages.

`diagram_dot` returns Graphviz source: Streamlit draws it in the browser, so nothing needs installing.
"""

import re
from textwrap import wrap
from typing import Any

import keras

from fer.models.backbones import PREFIX, backbone_layers

# Fill colour of a block by what it does; the first entry found among the block's layer types wins.
_KINDS = (
    (("InputLayer",), "#FFFFFF"),
    (("MultiHeadAttention",), "#D9C8EC"),
    (("Conv2D", "SeparableConv2D", "DepthwiseConv2D"), "#CFE3F5"),
    (("Dense",), "#FBE3C0"),
)
_OTHER = "#ECECEC"
_START = len(f"{PREFIX}000_")
_KEPT = "\u00a0"  # a space at which no line breaks
WIDTH = 30  # characters of a line in a block: blocks beside each other stay narrow


# The stage in a backbone layer's own name: conv5_block1_1_conv → conv5, expanded_conv_3_add → …_3.
_STAGE = re.compile(
    r"conv\d(?=_)|block\d+|mixed\d+$|stem(?=_)|top(?=_)|expanded_conv(_\d+)?(?=_)|conv(_1)?(?=_bn$|$)"
)


def layer_table(model: keras.Model) -> list[dict[str, Any]]:
    """One row per layer, in the order of the graph.

    Keys: name, type, output_shape (a string such as "24×24×64"), parameters (int), trainable (bool),
    connected_to (names of the layers it reads).
    """
    return [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output_shape": _shape(layer),
            "parameters": layer.count_params(),
            "trainable": layer.trainable,
            "connected_to": _sources(layer),
        }
        for layer in model.layers
    ]


def diagram_dot(model: keras.Model) -> str:
    """Graphviz DOT source of the network, its layers condensed into blocks, from top to bottom.

    Layers whose names share a first part (`encoder1_conv1`, `encoder1_pool`) are one block; a backbone's
    layers are one block per stage. A block shows its name, what it holds, its output and its parameters.
    """
    blocks = _blocks(model)
    lines = [
        f"digraph {_quoted(model.name)} {{",
        '  graph [rankdir=TB, bgcolor="transparent", nodesep=0.25, ranksep=0.3];',
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, color="#8C8C8C"];',
        '  edge [color="#8C8C8C", arrowsize=0.6];',
    ]
    lines += [
        f'  {_quoted(name)} [label={_quoted(_label(name, members))}, fillcolor="{_colour(members)}"];'
        for name, members in blocks.items()
    ]
    lines += [f"  {_quoted(source)} -> {_quoted(target)};" for source, target in _edges(blocks)]
    return "\n".join([*lines, "}", ""])


def _sources(layer: keras.Layer) -> list[str]:
    """The layers whose outputs `layer` reads; operations without a layer between are looked through."""
    found: dict[str, None] = {}
    waiting = [parent.operation for node in layer._inbound_nodes for parent in node.parent_nodes]
    while waiting:
        operation = waiting.pop(0)
        if isinstance(operation, keras.Layer):
            found[operation.name] = None
        else:
            waiting += [parent.operation for node in operation._inbound_nodes for parent in node.parent_nodes]
    return list(found)


def _blocks(model: keras.Model) -> dict[str, list[keras.Layer]]:
    """Block name → its layers, in the order of the graph."""
    names = _backbone_blocks(model)
    blocks: dict[str, list[keras.Layer]] = {}
    for layer in model.layers:
        blocks.setdefault(names.get(layer.name) or layer.name.split("_")[0], []).append(layer)
    return blocks


def _backbone_blocks(model: keras.Model) -> dict[str, str]:
    """Layer → block for a backbone's layers; one without a stage in its name joins its neighbour's.

    InceptionV3 names only the end of each block (mixed3), so there it is the next neighbour's.
    """
    layers = list(backbone_layers(model).values())[1:]
    found = [(layer.name, _STAGE.match(layer.name[_START:])) for layer in layers]
    if any(stage and stage.group().startswith("mixed") for _, stage in found):
        found.reverse()
    blocks, current = {}, "backbone"
    for name, stage in found:
        current = f"backbone {stage.group()}" if stage else current
        blocks[name] = current
    return blocks


def _edges(blocks: dict[str, list[keras.Layer]]) -> list[tuple[str, str]]:
    block_of = {layer.name: name for name, members in blocks.items() for layer in members}
    edges = {
        (block_of[source], name): None
        for name, members in blocks.items()
        for layer in members
        for source in _sources(layer)
        if source in block_of and block_of[source] != name
    }
    return list(edges)


def _label(name: str, members: list[keras.Layer]) -> str:
    counts: dict[str, int] = {}
    for layer in members:
        counts[type(layer).__name__] = counts.get(type(layer).__name__, 0) + 1
    kinds = list(counts.items())[:4]
    held = ", ".join(kind if count == 1 else f"{count}{_KEPT}{kind}" for kind, count in kinds)
    parameters = sum(layer.count_params() for layer in members)
    output = max(reversed(members), key=lambda layer: len(layer.output.shape))  # not its pooled summary
    held += ", …" if len(counts) > 4 else ""
    lines = [name, *(line.replace(_KEPT, " ") for line in wrap(held, WIDTH)), _shape(output)]
    return "\\n".join(lines + ([f"{parameters:,} parameters"] if parameters else []))


def _colour(members: list[keras.Layer]) -> str:
    kinds = {type(layer).__name__ for layer in members}
    return next((colour for names, colour in _KINDS if kinds & set(names)), _OTHER)


def _shape(layer: keras.Layer) -> str:
    return "×".join("?" if size is None else str(size) for size in layer.output.shape[1:])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'
