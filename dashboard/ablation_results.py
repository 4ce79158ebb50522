"""The results of an ablation on the Recipes page: a table and a figure that follow its runs."""

import pandas as pd
import streamlit as st

from dashboard import panels, result_charts, state
from fer import ablations
from fer.data.dataset import Dataset


def panel(dataset: Dataset, recipe: str) -> None:
    """The ablations of a recipe on a data set, the newest first; nothing where there is none."""
    known = [
        one.identifier
        for one in ablations.known()
        if (one.recipe, one.dataset) == (recipe, dataset.fingerprint)
    ]
    if not known:
        return
    if st.session_state.get(state.ABLATION) not in known:
        st.session_state.pop(state.ABLATION, None)  # that of another recipe or data set
    chosen = st.selectbox(
        "Results of", known, key=state.ABLATION, bind="query-params", persist_state="session"
    )
    active = ablations.active(chosen)
    st.fragment(_results, run_every=5 if active else None, key=f"ablation-{chosen}")(chosen, active)


def _results(identifier: str, was_active: bool) -> None:
    if was_active and not ablations.active(identifier):
        st.rerun()  # the whole page: the table of recipes counts the runs too
    found = ablations.table(identifier)
    columns = _columns()
    panels.table(
        frame(found),
        f"ablation-{identifier}",
        column_config=columns,
        height="content",
    )
    measured = [row for row in found if row.accuracy is not None]
    if measured:
        panels.chart(
            result_charts.ablation(measured),
            frame(measured),
            f"ablation-figure-{identifier}",
            "Mean accuracy of each variant of the ablation with its 95 % interval",
        )
    st.caption(caption(found))


def caption(rows: list[ablations.Row]) -> str:
    """How the figures were measured and how to read them."""
    text = (
        "Means over the finished seeds, on the test images; ± is half of the 95 % interval (Student's t). "
        "The difference to the recipe as it is pairs runs of the same seed, and its interval is that of the "
        "mean of the paired differences; without a common seed it is Welch's. A difference whose interval "
        "holds 0 may be chance."
    )
    if any(row.variant == ablations.DENOISED for row in rows):
        text += " The variant *denoised* is scored on denoised test images, not on those of the others."
    if any(row.finished and row.accuracy is None for row in rows):
        text += " Finished runs that found no test images have no figures here."
    return text


def frame(rows: list[ablations.Row]) -> pd.DataFrame:
    """Per cent and points; what matters most first, for narrow screens."""
    return pd.DataFrame(
        [
            {
                "variant": row.variant,
                "accuracy (%)": _percent(row.accuracy),
                "difference (points)": _percent(row.difference),
                "± difference": _percent(row.difference_interval),
                "± accuracy": _percent(row.interval),
                "runs": runs(row),
                "without leaks (%)": _percent(row.without_leaks),
                "macro F1 (%)": _percent(row.macro_f1),
                "± macro F1": _percent(row.macro_f1_interval),
            }
            for row in rows
        ]
    )


def runs(row: ablations.Row) -> str:
    """How many of the planned runs finished, and how many never will."""
    ended = [f"{count} {name}" for count, name in ((row.failed, "failed"), (row.stopped, "stopped")) if count]
    return ", ".join([f"{row.finished} of {row.planned}", *ended])


def _percent(share: float | None) -> float | None:
    return 100 * share if share is not None else None


def _columns() -> dict[str, object]:
    def number(width: int, sign: str = "", text: str | None = None) -> object:
        return st.column_config.NumberColumn(format=f"%{sign}.2f", width=width, help=text)

    return {
        "variant": st.column_config.TextColumn(width=140),
        "accuracy (%)": number(85),
        "difference (points)": number(120, "+", "To the recipe as it is, over runs of the same seed."),
        "± difference": number(90),
        "± accuracy": number(85),
        "runs": st.column_config.TextColumn(width=115),
        "without leaks (%)": number(
            110, "", "Accuracy without the test images that are also in the training images."
        ),
        "macro F1 (%)": number(95),
        "± macro F1": number(90),
    }
