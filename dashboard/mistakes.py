"""Faces behind the numbers: the images of a confusion cell, and the gallery of errors."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import answering, panels, selecting, state
from dashboard.chosen import TESTS, Chosen, note_left_out
from fer.emotions import EMOTIONS
from fer.evaluation.comparison import Comparison
from fer.evaluation.mistakes import agreement_counts, image_facts, ranked_images, wrong_for_every_run

PAGE = 24
FIRST_CELL = ("fear", "sad")  # what FER-2013's networks confuse most
WRONG_IN_ALL = "wrong in every model"
TEST_STAYS = (
    "These are test images. Marks on them are kept and can be exported, but change nothing: no training "
    "drops or relabels test images, so that scores stay comparable. To repair the labels a network learns "
    "from, score on train or validation above."
)
OWN_MARKS = (
    "Choose this selection on the Train page, and the next training leaves out what is dropped and learns "
    "what is relabelled."
)


def shown_cell(names: list[str]) -> tuple[str, str, str]:
    """(run, true class, predicted class) of the cell whose faces are shown."""
    state_of = st.session_state
    name = state_of.get(state.CELL_RUN)
    true, predicted = state_of.get(state.TRUE), state_of.get(state.PREDICTED)
    return (
        name if name in names else names[0],
        true if true in EMOTIONS else FIRST_CELL[0],
        predicted if predicted in EMOTIONS else FIRST_CELL[1],
    )


def choose_cell(name: str, points: list[dict[str, Any]]) -> None:
    """Show the faces of the cell that was clicked in the matrix of a run."""
    for point in points[:1]:
        true, predicted = point["customdata"][:2]
        st.session_state[state.CELL_RUN] = name
        st.session_state[state.TRUE] = true
        st.session_state[state.PREDICTED] = predicted


def cell(chosen: Chosen) -> None:
    """Choose a cell of the confusion matrix and see its faces, with every model's answer."""
    st.subheader("The faces of one cell", anchor=False)
    left, middle, right = st.columns(3)
    options: dict[str, Any] = {"bind": "query-params", "persist_state": "session"}
    name = left.selectbox("Model", chosen.names, key=state.CELL_RUN, **options)
    first, second = (EMOTIONS.index(emotion) for emotion in FIRST_CELL)
    true = middle.selectbox("True class", EMOTIONS, first, key=state.TRUE, **options)
    predicted = right.selectbox("Predicted", EMOTIONS, second, key=state.PREDICTED, **options)
    found = chosen.comparison()
    note_left_out(found)
    number = chosen.names.index(name)
    positions = ranked_images(found, number, "all", "confidence", true, predicted)
    st.caption(f"{len(positions):,} images, the surest answers first.")
    _grid(chosen, found, positions, number, "cell")


def gallery(chosen: Chosen) -> None:
    """Wrong or right faces, sorted and filtered, with marks into a selection."""
    found = chosen.comparison()
    counts = agreement_counts(found)
    st.caption("Right answers: " + ", ".join(f"{key} models {n:,} images" for key, n in counts.items()))
    note_left_out(found)
    grid = st.grid(5, min_column_width=150)
    shown = grid.selectbox("Show", ["wrong", "right", "all", WRONG_IN_ALL], key="errors-shown")
    order = grid.selectbox("Sorted by", ["confidence", "loss", "disagreement"], key="errors-order")
    name = grid.selectbox("Model", chosen.names, key="errors-run")
    true = grid.selectbox("True class", ["any", *EMOTIONS], key="errors-true")
    predicted = grid.selectbox("Predicted", ["any", *EMOTIONS], key="errors-predicted")
    number = chosen.names.index(name)
    only = (None if true == "any" else true, None if predicted == "any" else predicted)
    positions = ranked_images(found, number, "wrong" if shown == WRONG_IN_ALL else shown, order, *only)
    if shown == WRONG_IN_ALL:
        positions = positions[np.isin(positions, wrong_for_every_run(found))]
    st.caption(f"{len(positions):,} images")
    _grid(chosen, found, positions, number, "errors")
    answering.by_property(chosen.names, found)


def _grid(chosen: Chosen, found: Comparison, positions: np.ndarray, number: int, key: str) -> None:
    """A page of faces in green and red frames; one can be opened, some can be marked."""
    if not len(positions):
        st.info("No such image.")
        return
    page = st.pagination(-(-len(positions) // PAGE), key=f"{key}-page-{len(positions)}")
    here = positions[(page - 1) * PAGE : page * PAGE]
    dataset = found.dataset
    captions, titles, tones = [], [], []
    for place, position in enumerate(here, 1):
        facts = image_facts(found, int(position))
        said = facts["answers"][number]
        captions.append(f"{place}. {said['emotion']} {100 * said['confidence']:.0f} %\ntrue {facts['true']}")
        answers = "; ".join(
            f"{a['name']}: {a['emotion']} {100 * a['confidence']:.0f} %" for a in facts["answers"]
        )
        titles.append(f"{facts['name']} – {answers}")
        tones.append("good" if said["emotion"] == facts["true"] else "bad")
    indices = found.indices[here]
    panels.faces(dataset.images[indices], captions, titles, tones, size=96)
    opened = st.pills("Open a face by its number", range(1, len(here) + 1), key=f"{key}-face-{page}")
    if opened:
        _one(chosen.names, found, int(here[opened - 1]), key)
    with st.expander("Mark into a selection", icon=":material/checklist:"):
        st.caption(TEST_STAYS if chosen.split in TESTS else OWN_MARKS)
        name = selecting.choose(dataset)
        selecting.marks(
            dataset, name, list(indices), found.indices[positions], f"{key}-{page}", "seen on Compare"
        )
        selecting.summary(dataset, name)


def _one(names: list[str], found: Comparison, position: int, key: str) -> None:
    """A face, every model's seven probabilities, and the way to their maps."""
    facts = image_facts(found, position)
    rows = [
        {"model": name, "says": a["emotion"], **a["probabilities"]}
        for name, a in zip(names, facts["answers"], strict=True)
    ]
    left, right = st.columns([1, 4])
    with left:
        panels.faces([found.dataset.images[facts["index"]]], [f"true {facts['true']}"], size=150)
    with right:
        decimals = {e: st.column_config.NumberColumn(format="%.3f") for e in EMOTIONS}
        panels.table(pd.DataFrame(rows), f"{key}-probabilities", column_config=decimals)
        panels.go_to(
            "explain",
            "Where every model looks in this face",
            image=str(facts["index"]),
            dataset=found.dataset.name,
        )
