"""Several seeds of one training: each run's figures, their mean and standard deviation."""

import pandas as pd
import streamlit as st

from dashboard import panels
from fer import seeds
from fer.means import mean_and_deviation
from fer.runs import Run

_LABELS = {
    "accuracy": "accuracy (%)",
    "accuracy_without_leaks": "without leaked images (%)",
    "macro_f1": "macro F1 (%)",
}


def show(run: Run) -> None:
    """The runs that differ from this one in their seed alone; nothing for a run that stands by itself."""
    identifier = seeds.group_of(run)
    if not identifier:
        return
    runs = seeds.groups().get(identifier, [])
    rows = table(runs)
    st.markdown(f"**{len(runs)} seeds, {len(rows) - 2} finished**")
    one = st.column_config.NumberColumn(format="%.1f")
    panels.table(rows, f"seeds-{identifier}", column_config=dict.fromkeys(_LABELS.values(), one))
    if len(rows) > 2 and rows.drop(columns="run").isna().all(axis=None):
        st.caption("None of them was measured on test images: the data set has none.")
    else:
        st.caption("On the test images; the deviation is that of a sample, from two finished runs on.")


def table(runs: list[Run]) -> pd.DataFrame:
    """One row a finished run, then mean and sample standard deviation, in per cent."""
    figures = seeds.finished_figures(runs)
    names = {run.id: f"seed {run.config.get('seed', 0)}" for run in runs if run.id in figures}
    columns = {
        name: [100 * figures[key][name] if name in figures[key] else None for key in names]
        for name in seeds.MEASURES
    }
    found = {
        name: mean_and_deviation([value for value in values if value is not None]) or (None, None)
        for name, values in columns.items()
    }
    rows = {
        _LABELS[name]: pd.Series([*values, *found[name]], dtype=float) for name, values in columns.items()
    }
    return pd.DataFrame({"run": [*names.values(), "mean", "± deviation"]} | rows)
