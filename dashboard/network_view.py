"""The network of a recipe: its source, its diagram at a size one can read, and its layers as a table."""

import json
import subprocess
import sys
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import panels
from fer import storage
from fer.errors import UserError
from fer.models import MODELS
from fer.recipes import RECIPES, Recipe, recipe_config

SECONDS = 300  # to build the largest backbone on a busy machine


def show(recipe: Recipe) -> None:
    """The network that a recipe trains: with its options and its number of classes."""
    spec = MODELS[recipe.model]
    count = f" · {recipe.parameters:,} parameters" if recipe.parameters else ""
    st.markdown(f"**{panels.plain(spec.title)}**{count}")
    with st.expander("Description and source", icon=":material/article:"):
        st.code(spec.description, language=None, wrap_lines=False)
    with st.spinner("Building the network to draw it …"):
        try:
            drawn = architecture(same_network(recipe.name))
        except UserError as error:
            st.warning(panels.plain(error))
            return
    diagram, layers = st.tabs(["Diagram", "Layers"])
    with diagram:
        _diagram(drawn["dot"], spec.title)
    with layers:
        _layers(drawn["layers"], recipe.name)


def same_network(name: str) -> str:
    """The first recipe with the same network, so that one that is shared is built once."""

    def network(recipe: str) -> tuple[Any, ...]:
        config = recipe_config(recipe, "none")
        options = json.dumps(config.model_options, sort_keys=True)
        return config.model, options, len(config.classes), config.preprocessing

    return next(recipe for recipe in RECIPES if network(recipe) == network(name))


@st.cache_data(max_entries=64, show_spinner=False)
def architecture(recipe: str) -> dict[str, Any]:
    """`{dot, layers, parameters}` of a recipe's network, built in a process of its own: the server stays
    small."""
    command = [sys.executable, "-m", "fer", "model", "--recipe", recipe, "--json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", cwd=storage.PROJECT, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"Building the network of {recipe!r} took more than {SECONDS / 60:.0f} minutes. Load the page "
            "again when the machine is less busy."
        ) from None
    except OSError as error:
        raise UserError(f"The network of {recipe!r} could not be built ({error}).") from error
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or ["The network could not be built."])[-1])
    return json.loads(done.stdout)


def _diagram(dot: str, title: str) -> None:
    size = st.segmented_control(
        "Size",
        [50, 75, 100, 150],
        default=100,
        required=True,
        format_func=lambda percent: f"{percent} %",
        key="diagram-size",
        label_visibility="collapsed",
    )
    panels.diagram(dot, int(size or 100), f"Blocks of the network {title}", "diagram")


def _layers(layers: list[dict[str, Any]], recipe: str) -> None:
    rows = pd.DataFrame(
        {
            "number": pd.array([layer["number"] for layer in layers], dtype="Int64"),
            "layer": [layer["name"] for layer in layers],
            "kind": [layer["type"] for layer in layers],
            "output": [layer["output_shape"] for layer in layers],
            "parameters": [layer["parameters"] for layer in layers],
            "trainable": [layer["trainable"] for layer in layers],
            "trained in": [_phases(layer["phases"]) for layer in layers],
        }
    )
    panels.table(
        rows,
        f"layers-{recipe}",
        height=560,
        column_config={
            "number": st.column_config.NumberColumn(
                width=70,
                help="In the backbone, from 0: a phase that trains layers 160-175 trains 160 to 174, and the "
                "head. Layers without a number are the head or the input.",
            ),
            "parameters": st.column_config.NumberColumn(format="localized", width=95),
            "output": st.column_config.TextColumn(width=95),
            "kind": st.column_config.TextColumn(width=130),
            "trainable": st.column_config.CheckboxColumn(width=80, help="As the network is built."),
            "trained in": st.column_config.TextColumn(
                width=90, help="The phases of this recipe that train its weights."
            ),
        },
    )


def _phases(numbers: list[int]) -> str | None:
    """[1, 2, 3] as "phases 1 to 3", [1, 5] as "phases 1, 5"; None for no phase."""
    if not numbers:
        return None
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"phases {numbers[0]} to {numbers[-1]}"
    return f"phase{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
