"""Widgets that return typed values; their keys are in `dashboard.state`."""

from typing import Any

import numpy as np
import streamlit as st

from dashboard import cached, state
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run


def split_choice(splits: list[str], label: str = "Split") -> str:
    """One of the splits that the data set has."""
    return st.segmented_control(
        label,
        splits,
        default=splits[0],
        required=True,
        key=state.SPLIT,
        bind="query-params",
        persist_state="session",
    )


def release_or_trained(numbers: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Counts of the splits as released, or as a run divides them: 80/20 inside each class of train."""
    choices = {"As released": numbers["counts"], "As trained (80/20)": numbers["split_80_20"]["counts"]}
    chosen = st.segmented_control(
        "Splits",
        list(choices),
        default="As released",
        required=True,
        label_visibility="collapsed",
        key=state.SPLITS_SHOWN,
        bind="query-params",
        help="Training sets aside 20 % of each class of train for validation.",
    )
    return choices[chosen]


def reshuffle() -> None:
    """A button that draws other samples; the seed is kept in the session."""

    def draw() -> None:
        st.session_state[state.SAMPLE] = st.session_state.get(state.SAMPLE, 0) + 1

    st.button("Shuffle", icon=":material/shuffle:", on_click=draw, width="stretch")


def image_choice(dataset: Dataset) -> int:
    """Index of an image: by split and class, by slider or at random."""
    left, middle, right = st.columns([2, 3, 1], vertical_alignment="bottom")
    splits = list(dataset.counts())
    with left:
        split = split_choice(splits[::-1])
    emotion = middle.pills(
        "Expression", EMOTIONS, key=state.EMOTION, bind="query-params", persist_state="session"
    )
    indices = dataset.indices(split)
    if emotion:
        indices = indices[dataset.labels[indices] == EMOTIONS.index(emotion)]
    if not len(indices):
        st.info("No image of this expression in this split.")
        st.stop()

    def another() -> None:
        st.session_state[state.IMAGE] = int(np.random.default_rng().choice(indices))

    right.button("Random", icon=":material/casino:", on_click=another, width="stretch")
    forget_unless(state.IMAGE, len(dataset))
    if st.session_state.get(state.IMAGES_OF, (split, emotion)) != (split, emotion):
        current = st.session_state.get(state.IMAGE)
        if current is not None and current not in indices:  # a link may name any image; a new filter may not
            st.session_state[state.IMAGE] = int(indices[0])
    st.session_state[state.IMAGES_OF] = (split, emotion)
    index = st.number_input(
        f"Image number (this choice has {len(indices):,}, from {indices[0]} to {indices[-1]})",
        0,
        len(dataset) - 1,
        int(indices[0]),
        key=state.IMAGE,
        bind="query-params",
        persist_state="session",
    )
    return int(index)


def explanation_options(runs: list[Run], target: bool = True) -> tuple[str, str | None, float, str | None]:
    """(method, class to explain or None for the predicted one, opacity of the heat, layer or None)."""
    from fer.explanation import METHODS

    grid = st.grid(4, min_column_width=170, vertical_alignment="bottom")
    method = grid.selectbox(
        "Method",
        list(METHODS),
        format_func=lambda name: METHODS[name].title,
        key=state.METHOD,
        bind="query-params",
        persist_state="session",
    )
    chosen = "predicted"
    if target:
        chosen = grid.selectbox(
            "Class to explain",
            ["predicted", *EMOTIONS],
            key=state.TARGET,
            bind="query-params",
            persist_state="session",
        )
    layer = None
    if METHODS[method].uses_layer and (shared := _shared_layers(runs)):
        layer = grid.selectbox("Layer", ["", *shared], format_func=lambda name: name or "each model's last")
    opacity = grid.slider("Heat (%)", 0, 100, 50) / 100
    return method, None if chosen == "predicted" else chosen, opacity, layer or None


def _shared_layers(runs: list[Run]) -> list[str]:
    """Layers that a map can be drawn from and every one of these networks has, first to last."""
    from fer.explanation import explainable_layers

    shared: list[str] | None = None
    for run in runs:
        try:
            found = explainable_layers(cached.model(run.directory))
        except UserError:
            continue  # the page says so where the map would be
        shared = found if shared is None else [name for name in shared if name in found]
    return shared or []


def forget_unless(key: str, count: int) -> None:
    """Forget a remembered number that the chosen data set does not have."""
    remembered = st.session_state.get(key)
    if remembered is not None and not 0 <= remembered < count:
        del st.session_state[key]
