"""Compare: how far a model's confidence can be believed, and what it finds at which cost."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, panels, result_charts
from dashboard.chosen import Chosen
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import calibration, curves
from fer.evaluation.comparison import Comparison


def reliability(chosen: Chosen) -> None:
    """Reliability diagrams before and after temperature scaling, ROC and precision-recall."""
    found = chosen.comparison()
    rows, before, after = [], {}, {}
    for (name, run), probabilities in zip(chosen.named, found.probabilities, strict=True):
        before[name] = calibration.reliability(found.labels, probabilities)
        line: dict[str, Any] = {"run": name, "error before (%)": 100 * before[name].ece}
        temperature = cached.temperature(run.directory)
        if temperature is not None:
            scaled = calibration.apply_temperature(probabilities, temperature)
            after[name] = calibration.reliability(found.labels, scaled)
            line |= {"temperature": temperature, "error after (%)": 100 * after[name].ece}
        rows.append(line)
    left, right = st.columns(2)
    frame = pd.DataFrame(rows)
    with left:
        st.markdown("**As trained**")
        panels.chart(result_charts.reliability(before), frame, "reliability-before", "Reliability diagram")
    with right:
        st.markdown("**After temperature scaling**")
        if after:
            panels.chart(
                result_charts.reliability(after), frame, "reliability-after", "Reliability diagram, scaled"
            )
        else:
            st.info("Not evaluated on validation, so there is nothing to fit the temperature on.")
    panels.table(
        frame,
        "calibration",
        column_config={
            name: st.column_config.NumberColumn(format="%.2f") for name in frame.columns if name != "run"
        },
    )
    panels.note(
        r"Predictions are put into 15 bins by confidence; a calibrated model is right as often as it says. "
        r"**Expected calibration error**: $\sum_b \frac{n_b}{N}|\mathrm{acc}_b-\mathrm{conf}_b|$. "
        r"**Temperature "
        r"scaling** (Guo et al. 2017): $\mathrm{softmax}(\ln p / T)$ with the one $T$ that fits "
        r"validation best; "
        "T above 1 means overconfident. The predicted class stays."
    )
    _class_curves(chosen.names, found)


def _class_curves(names: list[str], found: Comparison) -> None:
    """ROC and precision-recall of one class, all runs together."""
    emotion = st.pills("Expression", EMOTIONS, default="happy", required=True, key="curve-class")
    operating, precision = {}, {}
    try:
        for name, probabilities in zip(names, found.probabilities, strict=True):
            operating[name] = curves.roc(found.labels, probabilities, emotion)
            precision[name] = curves.precision_recall(found.labels, probabilities, emotion)
    except UserError as error:
        st.info(panels.plain(error))
        return
    left, right = st.columns(2)
    summary = pd.DataFrame(
        [
            {"run": n, "area under ROC": r["auc"], "average precision": precision[n]["average_precision"]}
            for n, r in operating.items()
        ]
    )
    with left:
        panels.chart(result_charts.roc(operating), summary, f"roc-{emotion}", f"ROC curve of {emotion}")
    with right:
        alt = f"Precision-recall curve of {emotion}"
        panels.chart(result_charts.precision_recall(precision), summary, f"precision-recall-{emotion}", alt)
