"""On the Train page: the earlier runs that a training builds on."""

from typing import Any

import streamlit as st

from dashboard import network_options, panels
from dashboard.fields import Form
from dashboard.train_fields import FIELDS
from fer.models import network_shape
from fer.runs import Run
from fer.training.config import TEACHERS_LIMIT


def starting_weights(form: Form, runs: dict[str, Run]) -> None:
    """The run whose best weights a training starts from."""
    same = _same_network(form, runs)
    form.note("initial", _one(form, "Start from the weights of", "initial", same, runs,
        f"none: {network_options.weights_now(form)}",
        "A finished or stopped run of the same network. It must not have trained on the images that "
        "validate this training: give both the same split.",
    ))  # fmt: skip


def smote(form: Form, runs: dict[str, Run]) -> None:
    """The run in whose features SMOTE balances the classes."""
    same = [key for key in _same_network(form, runs) if runs[key].status().state == "finished"]
    form.note("smote", _one(form, "SMOTE in the features of", "smote", same, runs, "off",
        "A finished run of the same network, images and split. Only its last layer is trained anew, on "
        "features that SMOTE made as many of for every class (Chawla et al. 2002).",
    ))  # fmt: skip


def teachers(form: Form, runs: dict[str, Run]) -> None:
    """The runs whose answers soften the labels, and by how much."""
    chosen = st.multiselect(
        "Teachers",
        list(runs),
        default=[key for key in form.own("teachers") if key in runs],
        format_func=lambda key: runs[key].name,
        max_selections=TEACHERS_LIMIT,
        disabled=not runs,
        placeholder="none: the labels alone" if runs else "none: no run has a network yet",
        help="The labels are softened by what these runs answer for each training image (distillation, "
        "Hinton et al. 2015). What they saw counts as seen by this training.",
        **form.options("teachers"),
    )
    form.note("teachers", chosen)
    if chosen:
        form.ask(FIELDS["distillation"])


def _one(
    form: Form, label: str, key: str, offered: list[str], runs: dict[str, Run], none: str, explained: str
) -> str:
    """The id of a run, or '' for none."""
    own = form.own(key)
    options = ["", *offered, *([own] if own and own not in offered else [])]
    return st.selectbox(
        label,
        options,
        index=options.index(own),
        format_func=lambda run: (runs[run].name if run in runs else run) if run else none,
        disabled=len(options) == 1,
        help=explained,
        **form.options(key),
    )


def _same_network(form: Form, runs: dict[str, Run]) -> list[str]:
    """The runs that have the very network of the form, whatever weights it began with."""
    options = {name: form.now(f"model_options.{name}") for name in form.own("model_options")}
    model = form.own("model")
    wanted = network_shape(model, options)
    return [key for key, run in runs.items() if run.config.get("model") == model and _shape(run) == wanted]


def _shape(run: Run) -> dict[str, Any]:
    return network_shape(str(run.config.get("model")), run.config.get("model_options") or {})


def networks() -> dict[str, Run]:
    """Every run that has a network and is not at work, by id."""
    return {run.id: run for run in panels.runs_with_network()}
