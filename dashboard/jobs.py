"""Background jobs other than trainings: start one, see how the latest one of a kind is doing."""

from typing import Any

import streamlit as st

from dashboard import live, panels
from fer.runs import Run, create_run, list_runs, open_run, statuses, submit


def latest(kind: str, dataset: str, recipe: str = "") -> Run | None:
    """The newest run of a kind on a data set (fingerprint), of one recipe where that matters."""
    fitting = [run for run in list_runs() if run.kind == kind and run.config.get("dataset") == dataset]
    fitting = [run for run in fitting if not recipe or run.recipe == recipe]
    return max(fitting, key=lambda run: run.created, default=None)


def start(kind: str, config: dict[str, Any], recipe: str = "") -> None:
    """Queue a job; an unfinished one of the same kind and data set is watched instead of doubled."""
    with panels.errors_shown():
        before = latest(kind, config["dataset"], recipe)
        if before is not None and before.status().active:
            st.toast("It is already on its way.", icon=":material/schedule:")
            return
        submit(create_run(config, kind=kind, recipe=recipe or None))
        st.toast("Started in the background.", icon=":material/schedule:")


def watch(kind: str, dataset: str) -> None:
    """State and progress of the latest job of a kind; reruns the page when it ends."""
    run = latest(kind, dataset)
    if run is None or statuses([run])[run.id].state == "finished":
        return
    watch_run(run.id)


@st.fragment(run_every=1)
def watch_run(run_id: str) -> None:
    """State and progress of one job; reruns the page when it ends."""
    run = open_run(run_id)
    status = run.status()
    live.state_line(run)
    if status.active:
        progress = status.progress or {}
        st.progress(
            min(float(progress.get("fraction") or 0.0), 1.0),
            text=panels.plain(progress.get("text") or "Waiting …"),
        )
    elif status.state == "finished":
        st.rerun()
