"""Runs as a table: what each is, how far it is, how good it is; filtered, live, and a row opens a run."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, panels, state
from fer.data.dataset import list_datasets
from fer.runs import Run, RunStatus, list_runs, statuses

STATE_MARKS = {
    "queued": "○ queued",
    "running": "● running",
    "finished": "✓ finished",
    "stopped": "■ stopped",
    "failed": "✗ failed",
    "killed": "✗ killed",
    "interrupted": "□ interrupted",
}


@st.fragment(run_every=3)
def live_table(text: str, states: tuple[str, ...], tags: tuple[str, ...], archived: bool) -> None:
    """All runs that fit the search; repaints itself every three seconds, a click on a row opens the run."""
    known, wanted = _found(text, states, tags, archived)
    if not wanted:
        st.info("No run fits. Clear the search, the states or the tags.")
        return
    if st.session_state.pop(state.OPENED, False):
        st.rerun()  # the whole page: the run is shown below the table
    ids = [run.id for run in wanted]
    panels.grid(
        table(wanted, known),
        f"runs-table-{hash(tuple(ids))}",  # a selected row number means nothing in another list
        column_config=_columns(),
        on_select=lambda: _open(ids),
        selection_mode="single-row",
    )
    panels.csv_download(table(wanted, known), "runs")


def runs_table(runs: Sequence[Run], name: str) -> None:
    """The same table without filters and clicks."""
    panels.table(table(runs, statuses(runs)), name, column_config=_columns())


def table(runs: Sequence[Run], known: dict[str, RunStatus]) -> pd.DataFrame:
    """One row a run; the column `tags` only when one has some."""
    datasets = {info.fingerprint: info.name for info in list_datasets()}
    frame = pd.DataFrame([_row(run, known[run.id], datasets) for run in runs])
    return frame if frame["tags"].map(len).any() else frame.drop(columns="tags")


def fits(run: Run, text: str) -> bool:
    """Whether name, id, recipe, data set, selection, tags or note contain the text, in any case."""
    config = run.config
    words = [run.name, run.id, run.recipe, run.kind, config.get("dataset", ""), config.get("selection") or ""]
    names = {info.fingerprint: info.name for info in list_datasets()} if text else {}
    words += [names.get(str(config.get("dataset")), ""), *run.tags, run.note]
    return text.lower().strip() in " ".join(map(str, words)).lower()


def _found(
    text: str, states: tuple[str, ...], tags: tuple[str, ...], archived: bool
) -> tuple[dict[str, RunStatus], list[Run]]:
    runs = [run for run in list_runs() if (archived or not run.archived) and set(tags) <= set(run.tags)]
    runs = [run for run in runs if fits(run, text)]
    known = statuses(runs)
    return known, [run for run in runs if not states or known[run.id].state in states]


def _row(run: Run, status: RunStatus, datasets: dict[str, str]) -> dict[str, Any]:
    tested = run.test_metrics()
    accuracy, clean = (tested.get(name) for name in ("accuracy", "accuracy_without_leaks"))
    place = f" ({status.position})" if status.position else ""
    return {
        "run": run.name,
        "state": STATE_MARKS[status.state] + (" paused" if status.paused else place),
        "recipe": run.kind if run.kind in ("estimate", "ablation") else run.recipe or run.kind,
        "data set": datasets.get(str(run.config["dataset"]), "removed")
        if run.config.get("dataset")
        else None,
        "selection": str(run.config.get("selection") or "") or None,
        "epoch": f"{status.epoch} / {status.epochs or '?'}" if run.kind == "train" else None,
        "best accuracy (%)": best_validation(run),
        "test (%)": None if accuracy is None else 100 * accuracy,
        "without leaks (%)": None if clean is None else 100 * clean,
        "device": status.where,
        "started": pd.Timestamp(status.started, unit="s") if status.started else None,
        "length": panels.duration(status.seconds) if status.started else None,
        "tags": list(run.tags),
    }


def best_validation(run: Run) -> float | None:
    """Highest validation accuracy so far in percent; None before the first epoch."""
    history = cached.history(run.directory)
    if "val_accuracy" not in history or history["val_accuracy"].isna().all():
        return None
    return 100 * float(history["val_accuracy"].max())


def _columns() -> dict[str, Any]:
    return {
        "best accuracy (%)": st.column_config.NumberColumn(
            format="%.1f",
            width=115,
            help="Highest accuracy on the validation images of any epoch: it chose the model.",
        ),
        "test (%)": st.column_config.NumberColumn(
            format="%.1f", width=65, help="Accuracy on the test images, looked at once, at the end."
        ),
        "without leaks (%)": st.column_config.NumberColumn(
            format="%.1f",
            width=110,
            help="The same without the test images whose pixels it trained or validated on.",
        ),
        "started": st.column_config.DatetimeColumn(format="distance", width=105, help="UTC"),
        "run": st.column_config.TextColumn(width=140),
        "recipe": st.column_config.TextColumn(width=105),
        "device": st.column_config.TextColumn(width=60),
        "length": st.column_config.TextColumn(width=95),
        "selection": st.column_config.TextColumn(width=75, help="Which images were used; – for all of them."),
    }


def _open(ids: list[str]) -> None:
    chosen = st.session_state[f"runs-table-{hash(tuple(ids))}"]["selection"]["rows"]
    if chosen and chosen[0] < len(ids):
        st.session_state[state.RUN] = ids[chosen[0]]
        st.session_state[state.OPENED] = True
