"""Faces behind the numbers: the images of a confusion cell, and the gallery of errors."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, result_charts, selecting, state
from fer.analysis.quality import MEASURES as QUALITIES
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.comparison import Comparison
from fer.evaluation.mistakes import (
    accuracy_by,
    agreement_counts,
    image_facts,
    ranked_images,
    wrong_for_every_run,
)
from fer.runs import Run

PAGE = 24


def cell(runs: list[Run], split: str) -> None:
    """Choose a cell of the confusion matrix and see its faces, with every model's answer."""
    st.subheader("The faces of one cell", anchor=False)
    left, middle, right = st.columns(3)
    names = [run.name for run in runs]
    number = left.selectbox("Model", range(len(runs)), format_func=lambda n: names[n], key="cell-run")
    true = middle.selectbox("True class", EMOTIONS, index=2, key=state.TRUE, bind="query-params")
    predicted = right.selectbox("Predicted", EMOTIONS, index=5, key=state.PREDICTED, bind="query-params")
    try:
        found = cached.comparison(tuple(run.directory for run in runs), split)
    except UserError as error:
        st.warning(panels.plain(error))
        return
    positions = ranked_images(found, number, "all", "confidence", true, predicted)
    st.caption(f"{len(positions):,} images, the surest answers first.")
    _grid(found, positions, number, "cell")


def gallery(runs: list[Run], split: str) -> None:
    """Wrong or right faces, sorted and filtered, with marks into a selection."""
    try:
        found = cached.comparison(tuple(run.directory for run in runs), split)
    except UserError as error:
        st.warning(panels.plain(error))
        return
    counts = agreement_counts(found)
    st.caption("Right answers: " + ", ".join(f"{key} models {n:,} images" for key, n in counts.items()))
    names = [run.name for run in runs]
    grid = st.grid(5, min_column_width=150)
    shown = grid.selectbox("Show", ["wrong", "right", "all", "wrong in every model"], key="errors-shown")
    order = grid.selectbox("Sorted by", ["confidence", "loss", "disagreement"], key="errors-order")
    number = grid.selectbox("Model", range(len(runs)), format_func=lambda n: names[n], key="errors-run")
    true = grid.selectbox("True class", ["any", *EMOTIONS], key="errors-true")
    predicted = grid.selectbox("Predicted", ["any", *EMOTIONS], key="errors-predicted")
    if shown == "wrong in every model":
        positions = wrong_for_every_run(found)
    else:
        only = (None if true == "any" else true, None if predicted == "any" else predicted)
        positions = ranked_images(found, number, shown, order, *only)
    _grid(found, positions, number, "errors")
    _by_quality(found, number)


def _grid(found: Comparison, positions: np.ndarray, number: int, key: str) -> None:
    if not len(positions):
        st.info("No such image.")
        return
    page = st.pagination(-(-len(positions) // PAGE), key=f"{key}-page-{len(positions)}")
    here = positions[(page - 1) * PAGE : page * PAGE]
    dataset = found.dataset
    predicted, confidence = found.predicted[number], found.confidence[number]
    captions, titles, tones = [], [], []
    for place, position in enumerate(here, 1):
        right = predicted[position] == found.labels[position]
        said = EMOTIONS[predicted[position]]
        captions.append(
            f"{place}. {said} {100 * confidence[position]:.0f} %\ntrue {EMOTIONS[found.labels[position]]}"
        )
        facts = image_facts(found, int(position))
        answers = "; ".join(
            f"{a['name']}: {a['emotion']} {100 * a['confidence']:.0f} %" for a in facts["answers"]
        )
        titles.append(f"{facts['name']} – {answers}")
        tones.append("good" if right else "bad")
    indices = found.indices[here]
    panels.faces(dataset.images[indices], captions, titles, tones, size=96)
    with st.expander("One of these faces, every model", icon=":material/zoom_in:"):
        _one(found, here, key)
    with st.expander("Mark into a selection", icon=":material/checklist:"):
        name = selecting.choose(dataset)
        st.caption("Test images can be marked, but a training only drops its own: test stays as it is.")
        selecting.marks(
            dataset, name, list(indices), found.indices[positions], f"{key}-{page}", "seen on Compare"
        )
        selecting.summary(dataset, name)


def _one(found: Comparison, here: np.ndarray, key: str) -> None:
    place = st.number_input("Face number", 1, len(here), 1, key=f"{key}-face")
    facts = image_facts(found, int(here[place - 1]))
    rows = [{"model": a["name"], **a["probabilities"]} for a in facts["answers"]]
    left, right = st.columns([1, 3])
    with left:
        panels.faces([found.dataset.images[facts["index"]]], [f"true {facts['true']}"], size=150)
        panels.go_to("explain", "Explain it", image=str(facts["index"]))
    with right:
        decimals = {e: st.column_config.NumberColumn(format="%.3f") for e in EMOTIONS}
        panels.table(pd.DataFrame(rows), f"{key}-probabilities", column_config=decimals)


def _by_quality(found: Comparison, number: int) -> None:
    st.subheader("Accuracy against image quality", anchor=False)
    measure = st.segmented_control("Measure", list(QUALITIES), default=next(iter(QUALITIES)), required=True)
    values = cached.quality(found.dataset.fingerprint)[measure][found.indices]
    bins = accuracy_by(values, found.correct[number])
    panels.chart(
        result_charts.accuracy_by(bins, measure),
        pd.DataFrame(bins),
        f"accuracy-by-{measure}",
        f"Accuracy in ten bins of {measure}",
    )
