"""The parts of the Recipes page."""

import json
import subprocess
import sys
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import ablating, cached, panels, state
from fer import storage
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.measured import measured
from fer.models import MODELS
from fer.recipes import RECIPES


def table(dataset: Dataset) -> None:
    """One row a recipe: study, question, parameters, reported, measured on this data set, difference."""
    here = measured(dataset.fingerprint)
    rows = []
    for recipe in RECIPES.values():
        reported = recipe.reported.get("accuracy")
        best = here[recipe.name].best if recipe.name in here else None
        rows.append(
            {
                "recipe": recipe.name,
                "study": recipe.study,
                "reported accuracy (%)": 100 * reported if reported else None,
                "measured here (%)": 100 * best if best is not None else None,
                "difference (points)": 100 * (best - reported) if best is not None and reported else None,
                "runs": len(here[recipe.name].runs) if recipe.name in here else 0,
                "parameters": recipe.parameters or MODELS[recipe.model].parameters,
                "what it tests": recipe.tests,
            }
        )
    percent = st.column_config.NumberColumn(format="%.1f")
    panels.table(
        pd.DataFrame(rows),
        "recipes",
        height=460,
        column_config={
            "parameters": st.column_config.NumberColumn(format="localized"),
            "reported accuracy (%)": percent,
            "measured here (%)": percent,
            "difference (points)": st.column_config.NumberColumn(format="%+.1f"),
        },
    )
    st.caption(
        f"Measured here: the best finished run on {panels.plain(dataset.name)} that changed nothing but seed "
        "and device, scored on its test split. The studies scored PublicTest and PrivateTest together."
    )


def details(dataset: Dataset) -> None:
    """One recipe: its question, what was reported and measured per class, its network, and Train."""
    name = st.selectbox(
        "Open a recipe", list(RECIPES), key=state.RECIPE, bind="query-params", persist_state="session"
    )
    recipe = RECIPES[name]
    left, right = st.columns([2, 3], gap="large")
    with left:
        panels.recipe_card(recipe)
        panels.go_to("train", "Train it", recipe=name, dataset=dataset.name)
        ablating.estimate(dataset, name)
        _reported_and_measured(recipe, dataset)
    with right:
        _network(recipe.model)
    ablating.panel(dataset, name)


def _reported_and_measured(recipe: Any, dataset: Dataset) -> None:
    here = measured(dataset.fingerprint).get(recipe.name)
    report = None
    if here:
        from fer.runs import open_run

        try:
            report = cached.report(open_run(here.runs[0]).directory, None, "test")
        except UserError as error:
            st.caption(panels.plain(error))
    measures = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "kappa")
    rows = [
        {"figure": key, "reported": recipe.reported.get(key), "measured": report.get(key) if report else None}
        for key in measures
        if recipe.reported.get(key) is not None or report
    ]
    for emotion in EMOTIONS:
        for measure, value in recipe.reported.get("per_class", {}).get(emotion, {}).items():
            mine = report["per_class"].get(emotion, {}).get(measure) if report else None
            rows.append({"figure": f"{measure} {emotion}", "reported": value, "measured": mine})
    if not rows:
        st.info("The study gives no figure, and nothing was measured here yet.")
        return
    number = st.column_config.NumberColumn(format="%.3f")
    panels.table(
        pd.DataFrame(rows), f"reported-{recipe.name}", column_config={"reported": number, "measured": number}
    )


def _network(model: str) -> None:
    spec = MODELS[model]
    st.markdown(f"**{spec.title}** · {spec.parameters:,} parameters")
    with st.expander("Description and source", icon=":material/article:"):
        st.text(spec.description)
    with st.spinner("Building the network to draw it …"):
        try:
            drawn = architecture(model)
        except UserError as error:
            st.warning(panels.plain(error))
            return
    diagram, layers = st.tabs(["Diagram", "Layers"])
    with diagram, st.container(height=620):
        st.graphviz_chart(drawn["dot"], width="content")
    with layers:
        rows = pd.DataFrame(drawn["layers"]).drop(columns=["connected_to", "trainable"])
        panels.table(rows, f"layers-{model}", height=560)


@st.cache_data(max_entries=64, show_spinner=False)
def architecture(model: str) -> dict[str, Any]:
    """`{dot, layers}` of a model, built in a process of its own so that the server stays small."""
    command = [sys.executable, "-m", "fer", "model", model, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=storage.PROJECT, timeout=300)
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or ["The network could not be built."])[-1])
    return json.loads(done.stdout)
