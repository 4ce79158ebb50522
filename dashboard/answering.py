"""Compare: accuracy against what the images are like: their quality, and how strange they are."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, jobs, panels, result_charts
from fer.analysis.outliers import DETECTORS
from fer.analysis.quality import MEASURES as QUALITIES
from fer.data.dataset import Dataset
from fer.evaluation.comparison import Comparison
from fer.evaluation.mistakes import accuracy_by

OUTLIER = "outlier error"


def by_property(names: list[str], found: Comparison) -> None:
    """Accuracy of every run in ten bins of a quality measure or of the outlier error."""
    st.subheader("Accuracy against image quality and outlier error", anchor=False)
    measure = st.segmented_control(
        "Measure", [*QUALITIES, OUTLIER], default=next(iter(QUALITIES)), required=True, key="errors-against"
    )
    values = _outlier_errors(found.dataset) if measure == OUTLIER else _quality(found.dataset, measure)
    if values is None:
        return
    bins = {
        name: accuracy_by(values[found.indices], right)
        for name, right in zip(names, found.correct, strict=True)
    }
    rows = [{"run": name, **row} for name, found_bins in bins.items() for row in found_bins]
    panels.chart(
        result_charts.accuracy_by(bins, measure),
        pd.DataFrame(rows),
        f"accuracy-by-{measure}",
        f"Accuracy in ten bins of {measure}",
    )
    st.caption("Ten groups of equally many images; bars: 95 % bootstrap interval of the group.")


def _quality(dataset: Dataset, measure: str) -> np.ndarray:
    return np.asarray(cached.quality(dataset.fingerprint)[measure])


def _outlier_errors(dataset: Dataset) -> np.ndarray | None:
    """Stored errors of a detector; None after saying how to get them."""
    jobs.watch("outliers", dataset.fingerprint)
    known = [name for name in DETECTORS if cached.outlier_scores(dataset.fingerprint, name) is not None]
    if not known:
        st.info(
            f"No outlier detector has seen {panels.plain(dataset.name)} yet. Fit them here or on the "
            "Outliers page; it takes some minutes in the background."
        )
        st.button(
            "Fit the detectors",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=("outliers", {"dataset": dataset.fingerprint}),
        )
        return None
    detector = st.selectbox("Detector", known, key="errors-detector")
    return np.asarray(cached.outlier_scores(dataset.fingerprint, detector).errors)
