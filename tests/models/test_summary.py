"""Layer tables and diagrams."""

import re

import pytest

from fer.models import MODELS
from fer.models.summary import diagram_dot, layer_table

EDGE = re.compile(r'^  "([^"]+)" -> "([^"]+)";$', re.MULTILINE)
NODE = re.compile(r'^  "([^"]+)" \[label="([^"]+)", fillcolor="#[0-9A-F]{6}"\];$', re.MULTILINE)


def test_the_table_accounts_for_every_parameter_and_connection(spec, model):
    rows = layer_table(model)
    names = [row["name"] for row in rows]
    assert names[0] == "images"
    assert sum(row["parameters"] for row in rows) == model.count_params()
    assert all(set(row["connected_to"]) <= set(names) for row in rows)
    assert [row["name"] for row in rows if not row["connected_to"]] == ["images"]


def test_the_table_shows_the_gate_of_the_attention_unet(built):
    rows = {row["name"]: row for row in layer_table(built("unet_attention"))}
    assert rows["gate1_multiply"]["connected_to"] == ["encoder2_conv2_relu", "gate1_conv_sigmoid"]
    assert rows["encoder1_conv2"]["output_shape"] == "48×48×64"
    assert rows["encoder1_conv2"]["parameters"] == 36_928
    assert rows["encoder1_conv2"]["type"] == "Conv2D"


def test_operations_between_layers_are_looked_through(built):
    rows = {row["name"]: row for row in layer_table(built("mobilenetv3small"))}
    assert rows["backbone_004_expanded_conv_depthwise_pad"]["connected_to"] != []


def test_diagrams_are_small_connected_and_acyclic(spec, model):
    dot = diagram_dot(model)
    nodes = dict(NODE.findall(dot))
    edges = EDGE.findall(dot)
    assert len(nodes) + len(edges) + 5 == len(dot.strip().splitlines())
    assert 5 <= len(nodes) <= 30
    assert {name for edge in edges for name in edge} == set(nodes)
    reached = ["images"]
    waiting = {target: {s for s, t in edges if t == target} for target in nodes if target != "images"}
    while ready := [name for name, sources in waiting.items() if sources <= set(reached)]:
        reached += ready
        for name in ready:
            del waiting[name]
    assert waiting == {}, "a cycle or an unreachable block"
    assert reached[-1] == "probabilities"


def test_the_diagram_of_the_attention_unet(built):
    dot = diagram_dot(built("unet_attention"))
    assert {("encoder2", "gate1"), ("gate1", "decoder1"), ("bottleneck", "levels")} <= set(EDGE.findall(dot))
    label = dict(NODE.findall(dot))["bottleneck"]
    assert label.startswith("bottleneck\\n2 Conv2D")
    assert label.endswith("12×12×256\\n887,296 parameters")


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet50", ["backbone conv1", "backbone conv2", "backbone conv5"]),
        ("inceptionv3", ["backbone mixed0", "backbone mixed10"]),
        ("mobilenetv3small", ["backbone conv", "backbone expanded_conv", "backbone expanded_conv_10"]),
    ],
)
def test_a_backbone_is_shown_by_stage(built, name, blocks):
    nodes = dict(NODE.findall(diagram_dot(built(name))))
    assert set(blocks) <= set(nodes)
    assert "backbone" not in nodes
    assert MODELS[name].cam_layer.startswith("backbone_")
