"""The parts of the Compare page; every number comes from `fer.evaluation`."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, panels, state
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run

# key of the report, label, factor, decimals, is more better
MEASURES: tuple[tuple[str, str, float, int, bool | None], ...] = (
    ("accuracy", "Accuracy (%)", 100, 2, True),
    ("accuracy_without_leaks", "Accuracy without leaked images (%)", 100, 2, True),
    ("balanced_accuracy", "Balanced accuracy (%)", 100, 2, True),
    ("macro_f1", "Macro F1 (%)", 100, 2, True),
    ("weighted_f1", "Weighted F1 (%)", 100, 2, True),
    ("log_loss", "Log loss (nats)", 1, 4, False),
    ("kappa", "Cohen's kappa", 1, 4, True),
    ("ece", "Expected calibration error (%)", 100, 2, False),
)


def reports(runs: list[Run], split: str) -> dict[str, dict[str, Any]]:
    """`{run id: report}`; a run that cannot be scored says why and is left out."""
    found = {}
    for run in runs:
        try:
            found[run.id] = cached.report(run.directory, None, split) | {"run": run}
        except UserError as error:
            st.warning(f"{panels.plain(run.name)}: {panels.plain(error)}", icon=":material/warning:")
    return found


def label(report: dict[str, Any]) -> str:
    return report["run"].name


def headline(reports: dict[str, dict[str, Any]], split: str) -> None:
    """One row a measure, one column a run, the best of each row in bold."""
    rows = []
    for key, title, factor, decimals, more in MEASURES:
        values = [report.get(key) for report in reports.values()]
        usable = [v for v in values if v is not None]
        best = (max if more else min)(usable) if len(usable) > 1 else None
        row = {"measure": title}
        for report, value in zip(reports.values(), values, strict=True):
            shown = "–" if value is None else f"{factor * value:.{decimals}f}"
            if key == "accuracy" and value is not None and report.get("interval"):
                low, high = report["interval"]
                shown += f" [{100 * low:.1f}, {100 * high:.1f}]"
            row[label(report)] = f"{shown} ★" if best is not None and value == best else shown
        rows.append(row)
    rows.append({"measure": "Images"} | {label(r): f"{r['images']:,}" for r in reports.values()})
    rows.append(
        {"measure": "of them leaked from training"} | {label(r): f"{r['leaked']:,}" for r in reports.values()}
    )
    rows.append({"measure": "Parameters"} | {label(r): _parameters(r["run"]) for r in reports.values()})
    panels.table(pd.DataFrame(rows), "scores", height="content")
    st.caption(
        f"Split: {split}. ★ best of the row. Brackets: 95 % bootstrap interval. Leaked: pixel-identical "
        f"to an image "
        "the run trained or validated on. Checkpoints were chosen on the validation split, never on test."
    )
    panels.note(
        r"**Balanced accuracy** is the mean recall of the classes, $\frac1K\sum_c \mathrm{TP}_c/n_c$; "
        r"**macro F1** the mean of the classes' $2PR/(P+R)$, **weighted F1** weighs them by support; "
        r"**log loss** is $-\frac1N\sum \ln p_{i,y_i}$; **Cohen's kappa** is agreement beyond chance, "
        r"$(p_o-p_e)/(1-p_e)$; **expected calibration error** is the mean gap between confidence and "
        r"accuracy over 15 bins."
    )


def _parameters(run: Run) -> str:
    parameters = run.metrics().get("parameters")
    return f"{parameters:,}" if parameters else "–"


def per_class(reports: dict[str, dict[str, Any]]) -> None:
    """Bars of one measure and the whole table."""
    measure = st.segmented_control(
        "Measure",
        ["f1", "precision", "recall"],
        default="f1",
        required=True,
        format_func=lambda m: "F1" if m == "f1" else m.capitalize(),
    )
    rows = [
        {"run": label(report), "expression": emotion} | report["per_class"][emotion]
        for report in reports.values()
        for emotion in EMOTIONS
        if emotion in report["per_class"]
    ]
    named = {label(report): report["per_class"] for report in reports.values()}
    panels.chart(
        charts.per_class(named, measure),
        pd.DataFrame(rows),
        f"per-class-{measure}",
        f"{measure} by class and run",
    )
    for report in reports.values():
        st.markdown(f"**{panels.plain(label(report))}**")
        table = pd.DataFrame([{"expression": e} | row for e, row in report["per_class"].items()])
        percent = {m: st.column_config.NumberColumn(m, format="%.3f") for m in ("precision", "recall", "f1")}
        panels.table(table, f"per-class-{report['run'].id}", column_config=percent)


def confusion(reports: dict[str, dict[str, Any]]) -> None:
    """Matrices side by side with one colour scale."""
    normalised = st.toggle(
        "Percent of each true class", value=True, key=state.NORMALISED, bind="query-params"
    )
    matrices = {run_id: np.asarray(report["confusion"]) for run_id, report in reports.items()}
    highest = None if normalised else max(int(m.max()) for m in matrices.values())
    grid = st.grid(2 if len(matrices) > 1 else 1, min_column_width=330)
    for run_id, matrix in matrices.items():
        with grid.cell():
            st.markdown(f"**{panels.plain(label(reports[run_id]))}**")
            table = pd.DataFrame(matrix, columns=list(EMOTIONS))
            table.insert(0, "true class", list(EMOTIONS))
            panels.chart(
                charts.confusion(matrix, normalised, highest),
                table,
                f"confusion-{run_id}",
                "Confusion matrix, true classes in rows, predicted in columns",
            )


def curves(runs: list[Run]) -> None:
    """Loss, accuracy and learning rate overlaid."""
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.95,
        0.0,
        0.05,
        key=state.SMOOTHING,
        bind="query-params",
        help="Weight of the past in an exponential moving average; 0 shows the values as they are.",
    )
    histories = {
        run.name if len({r.name for r in runs}) == len(runs) else run.id: cached.history(run.directory)
        for run in runs
    }
    histories = {name: frame for name, frame in histories.items() if not frame.empty}
    if not histories:
        st.info("These runs have no training history.")
        return
    chosen = {
        name: int(frame.loc[frame["val_accuracy"].idxmax(), "epoch"])
        for name, frame in histories.items()
        if "val_accuracy" in frame
    }
    everything = pd.concat([frame.assign(run=name) for name, frame in histories.items()])
    for quantity in ("accuracy", "loss", "learning_rate"):
        panels.chart(
            charts.curves(histories, quantity, smoothing, chosen),
            everything,
            f"curves-{quantity}",
            f"{quantity} by epoch",
        )
