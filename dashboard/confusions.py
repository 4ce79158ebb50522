"""Compare: figures of each class, confusion matrices and the faces of one cell."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import mistakes, panels, result_charts, state
from dashboard.chosen import Chosen
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.comparison import difference_matrix, most_confused


def per_class(chosen: Chosen) -> None:
    """Bars of one measure, the whole table, and the spread of the recalls."""
    reports = chosen.reports
    measure = st.segmented_control(
        "Measure",
        ["f1", "precision", "recall"],
        default="f1",
        required=True,
        key=state.MEASURE,
        bind="query-params",
        format_func=lambda m: "F1" if m == "f1" else m.capitalize(),
    )
    rows = [
        {"run": name, "expression": emotion, **report["per_class"][emotion]}
        for name, report in reports.items()
        for emotion in EMOTIONS
        if emotion in report["per_class"]
    ]
    frame = pd.DataFrame(rows)
    tables = {name: report["per_class"] for name, report in reports.items()}
    panels.chart(
        result_charts.per_class(tables, measure), frame, f"per-class-{measure}", f"{measure} by class and run"
    )
    recalls = {name: [row["recall"] for row in table.values()] for name, table in tables.items()}
    st.subheader("How evenly: the recalls of each run", anchor=False)
    panels.chart(
        result_charts.recall_spread(recalls),
        frame[["run", "expression", "recall"]],
        "recall-spread",
        "Distribution of the recalls over the classes",
    )
    decimals = {m: st.column_config.NumberColumn(m, format="%.3f") for m in ("precision", "recall", "f1")}
    panels.table(frame, "per-class", column_config=decimals)


def confusion(chosen: Chosen) -> None:
    """Matrices side by side with one scale, their difference, the worst pairs, and the faces of a cell."""
    normalised = st.toggle(
        "Percent of each true class", value=True, key=state.NORMALISED, bind="query-params"
    )
    matrices = {name: np.asarray(report["confusion"]) for name, report in chosen.reports.items()}
    highest = None if normalised else max(int(matrix.max()) for matrix in matrices.values())
    st.caption("Click a cell to see its faces below, or choose it there.")
    grid = st.grid(2 if len(matrices) > 1 else 1, min_column_width=330)
    shown = mistakes.shown_cell(chosen.names)
    for name, matrix in matrices.items():
        with grid.cell():
            st.markdown(f"**{panels.plain(name)}**")
            _matrix(name, matrix, normalised, highest, shown[1:] if shown[0] == name else None)
            st.caption(worst_pairs(matrix))
    if len(matrices) > 1:
        _difference(chosen, normalised)
    mistakes.cell(chosen)


def worst_pairs(matrix: np.ndarray) -> str:
    """The five most frequent mistakes in words."""
    sentences = [
        f"{pair['true']} taken for {pair['predicted']}: {100 * pair['share']:.0f} % ({pair['images']:,})"
        for pair in most_confused(matrix, 5)
    ]
    return "Most confused: " + "; ".join(sentences) + "." if sentences else "Nothing is confused."


def _matrix(
    name: str,
    matrix: np.ndarray,
    normalised: bool,
    highest: float | None,
    outlined: tuple[str, str] | None,
) -> None:
    """One matrix whose cells can be clicked."""
    key = f"chart-confusion-{name}-{outlined}"  # another cell, another chart: its click is forgotten
    panels.chart(
        result_charts.confusion(matrix, normalised, highest, outlined),
        _as_table(matrix),
        f"confusion-{name}",
        "Confusion matrix, true classes in rows, predicted in columns",
        key=key,
        on_select=lambda: mistakes.choose_cell(name, st.session_state[key]["selection"]["points"]),
        selection_mode="points",
    )


def _difference(chosen: Chosen, normalised: bool) -> None:
    """The matrix of one run minus that of another."""
    st.subheader("Difference of two", anchor=False)
    first, second = 0, 1
    numbers = range(len(chosen.names))
    if len(numbers) > 2:
        left, right = st.columns(2)
        first = left.selectbox("Of", numbers, format_func=chosen.names.__getitem__, key="minuend")
        second = right.selectbox("Minus", numbers, 1, format_func=chosen.names.__getitem__, key="subtrahend")
    try:
        matrix = difference_matrix(chosen.comparison(), first, second, normalise=normalised)
    except UserError as error:
        st.warning(panels.plain(error), icon=":material/warning:")
        return
    st.caption(
        f"{panels.plain(chosen.names[first])} minus {panels.plain(chosen.names[second])}: blue where the "
        "first has more, red where the second has."
    )
    figure = result_charts.confusion_difference(matrix, normalised)
    panels.chart(
        figure, _as_table(matrix), "confusion-difference", "Difference of the two confusion matrices"
    )


def _as_table(matrix: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(matrix, columns=list(EMOTIONS))
    table.insert(0, "true class", list(EMOTIONS))
    return table
