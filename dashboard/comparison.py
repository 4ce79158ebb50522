"""The views of the Compare page; every number comes from `fer.evaluation`, none is computed here."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from dashboard import (
    auditing,
    calibrating,
    confusions,
    jobs,
    learning,
    mistakes,
    panels,
    reporting,
    scoring,
    state,
)
from dashboard.chosen import Chosen
from fer.errors import UserError
from fer.evaluation.report import NotEvaluated
from fer.runs import Run


def choose_view() -> str:
    """Which view is shown; only that one is computed."""
    return st.segmented_control(
        "View",
        list(VIEWS),
        default="Scores",
        required=True,
        key=state.VIEW,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )


def evaluated(chosen: Chosen) -> Chosen:
    """Only the runs that have predictions; offers to evaluate the others in the background."""
    usable: list[Run] = []
    for name, run in chosen.named:
        try:
            chosen.report(run)
            usable.append(run)
        except NotEvaluated:
            _offer(chosen, name, run)
        except UserError as error:
            st.warning(f"{panels.plain(name)}: {panels.plain(error)}", icon=":material/warning:")
    for fingerprint in {chosen.dataset or str(run.config.get("dataset")) for run in chosen.runs}:
        jobs.watch("evaluate", fingerprint)
    return replace(chosen, runs=tuple(usable))


def _offer(chosen: Chosen, name: str, run: Run) -> None:
    fingerprint = chosen.dataset or run.config.get("dataset")
    row = st.container(horizontal=True, vertical_alignment="center")
    row.info(f"{panels.plain(name)} has not been evaluated on {chosen.split} yet.")
    row.button(
        "Evaluate in the background",
        key=f"evaluate-{run.id}",
        on_click=jobs.start,
        args=("evaluate", {"dataset": fingerprint, "run": run.id, "split": chosen.split}),
    )


VIEWS: dict[str, Callable[[Chosen], None]] = {
    "Scores": scoring.scores,
    "Per class": confusions.per_class,
    "Confusion": confusions.confusion,
    "Errors": mistakes.gallery,
    "Subgroups": auditing.subgroups,
    "Calibration": calibrating.reliability,
    "Curves": learning.curves,
    "Ensemble": scoring.ensemble,
    "Clusters": reporting.clusters,
    "Other data": reporting.other_data,
    "Report": reporting.report,
}
