"""On the Train page: the earlier runs that a training builds on."""

import streamlit as st

from dashboard import panels
from fer.runs import Run
from fer.training.config import TEACHERS_LIMIT, TrainConfig


def building_on(recipe: str, config: TrainConfig) -> dict[str, str]:
    """Weights to start from and teachers, as settings of `with_settings`; '' where nothing is chosen."""
    runs = {run.id: run for run in panels.runs_with_network()}
    same = [key for key, run in runs.items() if _network(run) == (config.model, config.model_options)]
    initial = st.selectbox(
        "Start from the weights of",
        ["", *same],
        format_func=lambda key: runs[key].name if key else "none: random weights",
        key=f"initial-{recipe}",
        disabled=not same,
        help="A finished or stopped run of the same network. It must not have trained on the images that "
        "validate this training: give both the same split.",
    )
    teachers = st.multiselect(
        "Teachers",
        list(runs),
        format_func=lambda key: runs[key].name,
        max_selections=TEACHERS_LIMIT,
        key=f"teachers-{recipe}",
        disabled=not runs,
        placeholder="none: the labels alone" if runs else "none: no run has a network yet",
        help="The labels are softened by what these runs answer for each training image (distillation, "
        "Hinton et al. 2015). What they saw counts as seen by this training.",
    )
    share = st.slider(
        "Teachers' share of the label (%)",
        0,
        100,
        round(100 * config.distillation),
        5,
        key=f"distillation-{recipe}",
        help="Has an effect with teachers only.",
    )
    return {
        "initial": initial or "",
        "teachers": ",".join(teachers),
        "distillation": f"{share / 100:g}" if teachers else "",
    }


def _network(run: Run) -> tuple[str, dict]:
    config = run.config
    return str(config.get("model")), dict(config.get("model_options") or {})
