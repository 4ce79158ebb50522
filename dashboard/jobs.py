"""Background jobs other than trainings: start one, see how the latest one of a kind is doing."""

from typing import Any

import streamlit as st

from dashboard import live, panels
from fer.runs import Run, create_run, list_runs, statuses, submit


def latest(kind: str, dataset: str, recipe: str = "") -> Run | None:
    """The newest run of a kind on a data set (fingerprint), of one recipe where that matters."""
    fitting = [run for run in list_runs() if run.kind == kind and run.config.get("dataset") == dataset]
    fitting = [run for run in fitting if not recipe or run.recipe == recipe]
    return max(fitting, key=lambda run: run.created, default=None)


def start(kind: str, config: dict[str, Any], recipe: str = "") -> None:
    """Queue a job; exactly the same one that has not finished is watched instead of doubled."""
    with panels.errors_shown():
        before = [run for run in list_runs() if run.kind == kind and run.config == config]
        if any(run.status().active for run in before if not recipe or run.recipe == recipe):
            st.toast("It is already on its way.", icon=":material/schedule:")
            return
        submit(create_run(config, kind=kind, recipe=recipe or None))
        st.toast("Started in the background.", icon=":material/schedule:")


def watch(kind: str, dataset: str) -> None:
    """State and progress of the unfinished jobs of a kind, else of the latest if it failed."""
    newest = latest(kind, dataset)
    if newest is None:
        return
    jobs = [run for run in list_runs() if run.kind == kind and run.config.get("dataset") == dataset]
    known = statuses(jobs)
    active = [run for run in jobs if known[run.id].active]
    if not active and known[newest.id].state != "finished":
        active = [newest]
    for run in active[:8]:
        watch_run(run.id)


@st.fragment(run_every=1)
def watch_run(run_id: str) -> None:
    """State and progress of one job; reruns the page when it ends or is removed."""
    run = live.still_there(run_id)
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
