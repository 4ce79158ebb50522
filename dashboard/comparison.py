"""The views of the Compare page; every number comes from `fer.evaluation`, none is computed here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, jobs, mistakes, panels, reporting, result_charts, state
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import calibration, curves
from fer.evaluation.comparison import difference_matrix, most_confused, significance_tests
from fer.evaluation.ensemble import ensemble_reports
from fer.evaluation.protocol import chosen_epoch, protocol_card
from fer.evaluation.report import NotEvaluated, best_runs, headline_row, seed_groups
from fer.runs import Run

# key of the headline row, label, factor, decimals
MEASURES: tuple[tuple[str, str, float, int], ...] = (
    ("accuracy", "Accuracy (%)", 100, 2),
    ("accuracy_without_leaks", "Accuracy without leaked images (%)", 100, 2),
    ("public_test", "Accuracy on PublicTest (%)", 100, 2),
    ("private_test", "Accuracy on PrivateTest (%)", 100, 2),
    ("balanced_accuracy", "Balanced accuracy (%)", 100, 2),
    ("macro_f1", "Macro F1 (%)", 100, 2),
    ("weighted_f1", "Weighted F1 (%)", 100, 2),
    ("log_loss", "Log loss (nats)", 1, 4),
    ("kappa", "Cohen's kappa", 1, 4),
    ("ece", "Expected calibration error (%)", 100, 2),
    ("parameters", "Parameters", 1, 0),
    ("file_size", "Model file (MB)", 1e-6, 2),
    ("latency", "Latency, one image (ms)", 1000, 2),
    ("training_seconds", "Training time (min)", 1 / 60, 1),
)


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


def evaluated(runs: list[Run], split: str) -> list[Run]:
    """The runs that have predictions for the split; offers to evaluate the others in the background."""
    usable = []
    for run in runs:
        try:
            cached.report(run.directory, None, split)
            usable.append(run)
        except NotEvaluated:
            row = st.container(horizontal=True, vertical_alignment="center")
            row.info(f"{panels.plain(run.name)} has not been evaluated on {split} yet.")
            row.button(
                "Evaluate in the background",
                key=f"evaluate-{run.id}",
                on_click=jobs.start,
                args=("evaluate", {"dataset": run.config.get("dataset"), "run": run.id, "split": split}),
            )
        except UserError as error:
            st.warning(f"{panels.plain(run.name)}: {panels.plain(error)}", icon=":material/warning:")
    for fingerprint in {str(run.config.get("dataset")) for run in runs}:
        jobs.watch("evaluate", fingerprint)
    return usable


def labels(runs: list[Run]) -> dict[str, str]:
    """`{run id: short unique name}`."""
    names = [run.name for run in runs]
    return {run.id: run.name if names.count(run.name) == 1 else run.id for run in runs}


def _reports(runs: list[Run], split: str) -> dict[str, dict[str, Any]]:
    named = labels(runs)
    return {named[run.id]: cached.report(run.directory, None, split) for run in runs}


def scores(runs: list[Run], split: str) -> None:
    """Headline table, seeds, significance and protocol cards."""
    named = labels(runs)
    rows = [headline_row(run, cached.report(run.directory, None, split)) for run in runs]
    best = best_runs(rows)
    table = []
    for key, title, factor, decimals in MEASURES:
        if all(row.get(key) is None for row in rows):
            continue
        line = {"measure": title}
        for run, row in zip(runs, rows, strict=True):
            value = row.get(key)
            shown = "–" if value is None else f"{factor * value:,.{decimals}f}"
            if key == "accuracy" and row.get("interval"):
                shown += " [{:.1f}, {:.1f}]".format(*(100 * bound for bound in row["interval"]))
            winner = len(runs) > 1 and run.id in best.get(key, []) and len(best[key]) < len(runs)
            line[named[run.id]] = f"{shown} ★" if winner else shown
        table.append(line)
    for key, title in (("images", "Images"), ("leaked", "of them leaked from training")):
        cells = {named[run.id]: f"{row[key]:,}" for run, row in zip(runs, rows, strict=True)}
        table.append({"measure": title} | cells)
    panels.table(pd.DataFrame(table), "scores", height="content")
    st.caption(
        f"Split: {split}. ★ best of the row. Brackets: 95 % bootstrap interval. Leaked: "
        f"pixel-identical to an "
        "image the run trained or validated on."
    )
    _seeds(runs, rows)
    if len(runs) > 1:
        _significance(runs, split)
    _protocol(runs, split)
    panels.note(
        r"**Balanced accuracy** is the mean recall of the classes, $\frac1K\sum_c \mathrm{TP}_c/n_c$; "
        r"**macro F1** the mean of the classes' $2PR/(P+R)$, **weighted F1** weighs them by support; "
        r"**log loss** is $-\frac1N\sum \ln p_{i,y_i}$; **Cohen's kappa** is agreement beyond chance, "
        r"$(p_o-p_e)/(1-p_e)$; **expected calibration error** is the mean gap between confidence and "
        "accuracy over 15 bins."
    )


def _seeds(runs: list[Run], rows: list[dict[str, Any]]) -> None:
    for group in seed_groups(runs, rows):
        parts = [
            f"{title.split(' (')[0].lower()} {100 * group['mean'][key]:.2f} ± {100 * group['std'][key]:.2f} %"
            for key, title, _, _ in MEASURES[:6]
            if group["mean"].get(key) is not None
        ]
        st.info(
            f"{len(group['runs'])} runs of {panels.plain(group['recipe'])} differ only in their seed: "
            + ", ".join(parts)
            + ".",
            icon=":material/casino:",
        )


def _significance(runs: list[Run], split: str) -> None:
    st.subheader("Are they different?", anchor=False)
    try:
        tests = significance_tests(cached.comparison(tuple(run.directory for run in runs), split))
    except UserError as error:
        st.warning(panels.plain(error))
        return
    for test in tests:
        st.write(panels.plain(test["verdict"]))
    with st.popover("Numbers", icon=":material/table:", type="tertiary"):
        frame = pd.DataFrame(tests).drop(columns=["verdict"])
        frame["interval"] = frame["interval"].map(lambda pair: f"[{pair[0]:+.4f}, {pair[1]:+.4f}]")
        panels.table(frame, "significance")
    panels.note(
        "**McNemar's test** (1947) looks at the images exactly one of two models gets right: if both were "
        "equally good, each would win half of them. p is exact (binomial) and adjusted for the number "
        "of pairs "
        "(Holm 1979). The interval of the difference is from the **paired bootstrap**: images "
        "drawn again with replacement. Above p = 0.05 these images do not tell the two apart."
    )


def _protocol(runs: list[Run], split: str) -> None:
    st.subheader("Under which protocol", anchor=False)
    grid = st.grid(min(len(runs), 3), min_column_width=280, border=True)
    for run in runs:
        card = protocol_card(run, cached.report(run.directory, None, split), split)
        with grid.cell():
            st.markdown(f"**{panels.plain(run.name)}**")
            lines = [
                ("Split", card.split),
                ("Checkpoint", card.checkpoint),
                ("Test-time augmentation", card.test_time_augmentation),
                ("Pretraining", card.pretraining),
                ("Seed", card.seed),
                *(("Excluded", text) for text in card.exclusions),
            ]
            st.markdown("\n".join(f"- {name}: {panels.plain(text)}" for name, text in lines))
            for warning in card.warnings:
                st.warning(panels.plain(warning), icon=":material/warning:")


def per_class(runs: list[Run], split: str) -> None:
    """Bars of one measure, the whole table, and the spread of the recalls."""
    reports = _reports(runs, split)
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


def confusion(runs: list[Run], split: str) -> None:
    """Matrices side by side with one scale, their difference, the worst pairs, and the faces of a cell."""
    reports = _reports(runs, split)
    normalised = st.toggle(
        "Percent of each true class", value=True, key=state.NORMALISED, bind="query-params"
    )
    matrices = {name: np.asarray(report["confusion"]) for name, report in reports.items()}
    highest = None if normalised else max(int(matrix.max()) for matrix in matrices.values())
    grid = st.grid(2 if len(matrices) > 1 else 1, min_column_width=330)
    for number, (name, matrix) in enumerate(matrices.items()):
        with grid.cell():
            st.markdown(f"**{panels.plain(name)}**")
            table = pd.DataFrame(matrix, columns=list(EMOTIONS))
            table.insert(0, "true class", list(EMOTIONS))
            alt = "Confusion matrix, true classes in rows, predicted in columns"
            panels.chart(
                result_charts.confusion(matrix, normalised, highest), table, f"confusion-{number}", alt
            )
            worst = pd.DataFrame(most_confused(matrix, 5))
            if len(worst):
                sentences = [
                    f"{row.true} taken for {row.predicted}: {100 * row.share:.0f} % ({row.images:,})"
                    for row in worst.itertuples()
                ]
                st.caption("Most confused: " + "; ".join(sentences) + ".")
    if len(runs) == 2:
        _difference(runs, split, normalised)
    mistakes.cell(runs, split)


def _difference(runs: list[Run], split: str, normalised: bool) -> None:
    names = list(labels(runs).values())
    st.subheader(f"{panels.plain(names[0])} minus {panels.plain(names[1])}", anchor=False)
    found = cached.comparison(tuple(run.directory for run in runs), split)
    matrix = difference_matrix(found, 0, 1, normalise=normalised)
    table = pd.DataFrame(matrix, columns=list(EMOTIONS))
    table.insert(0, "true class", list(EMOTIONS))
    alt = "Difference of the two confusion matrices"
    panels.chart(result_charts.confusion_difference(matrix, normalised), table, "confusion-difference", alt)


def reliability(runs: list[Run], split: str) -> None:
    """Reliability diagrams before and after temperature scaling, ROC and precision-recall."""
    named = labels(runs)
    found = cached.comparison(tuple(run.directory for run in runs), split)
    rows, before, after = [], {}, {}
    for number, run in enumerate(runs):
        probabilities = found.probabilities[number]
        before[named[run.id]] = calibration.reliability(found.labels, probabilities)
        line: dict[str, Any] = {"run": named[run.id], "error before (%)": 100 * before[named[run.id]].ece}
        temperature = cached.temperature(run.directory)
        if temperature is not None:
            scaled = calibration.apply_temperature(probabilities, temperature)
            after[named[run.id]] = calibration.reliability(found.labels, scaled)
            line |= {"temperature": temperature, "error after (%)": 100 * after[named[run.id]].ece}
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
    _class_curves(runs, found)


def _class_curves(runs: list[Run], found: Any) -> None:
    named = labels(runs)
    emotion = st.pills("Expression", EMOTIONS, default="happy", required=True, key="curve-class")
    operating, precision = {}, {}
    try:
        for number, run in enumerate(runs):
            operating[named[run.id]] = curves.roc(found.labels, found.probabilities[number], emotion)
            precision[named[run.id]] = curves.precision_recall(
                found.labels, found.probabilities[number], emotion
            )
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


def training(runs: list[Run], split: str) -> None:
    """Loss, accuracy and learning rate overlaid, with the kept checkpoint marked."""
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
    named = labels(runs)
    histories = {named[run.id]: cached.history(run.directory) for run in runs}
    histories = {name: frame for name, frame in histories.items() if not frame.empty}
    if not histories:
        st.info("These runs have no training history.")
        return
    kept = {named[run.id]: chosen_epoch(run.directory) for run in runs}
    chosen = {name: int(row["epoch"]) for name, row in kept.items() if row}
    everything = pd.concat([frame.assign(run=name) for name, frame in histories.items()])
    for quantity in ("accuracy", "loss", "learning_rate"):
        figure = charts.curves(histories, quantity, smoothing, chosen)
        panels.chart(figure, everything, f"curves-{quantity}", f"{quantity} by epoch")


def ensemble(runs: list[Run], split: str) -> None:
    """Scores of the average and of the weighted average of all chosen runs."""
    if len(runs) < 2:
        st.info("Choose at least two runs.")
        return
    found = ensemble_reports(cached.comparison(tuple(run.directory for run in runs), split))
    named = labels(runs)
    rows = []
    shown = [("average of all", found["average"]), ("weighted average", found["weighted"])]
    shown += [(named[run.id], cached.report(run.directory, None, split)) for run in runs]
    for name, report in shown:
        if report:
            rows.append({"model": name} | {key: report[key] for key, *_ in MEASURES if key in report})
    decimals = {key: st.column_config.NumberColumn(title, format="%.4f") for key, title, *_ in MEASURES}
    panels.table(pd.DataFrame(rows), "ensemble", column_config=decimals)
    if found["weights"]:
        weights = ", ".join(f"{panels.plain(named.get(r, r))} {w:.2f}" for r, w in found["weights"].items())
        st.caption(f"Weights, fitted on the validation images that every run shares: {weights}.")
    else:
        st.caption(panels.plain(found["reason"]))


VIEWS: dict[str, Callable[[list[Run], str], None]] = {
    "Scores": scores,
    "Per class": per_class,
    "Confusion": confusion,
    "Errors": mistakes.gallery,
    "Calibration": reliability,
    "Curves": training,
    "Ensemble": ensemble,
    "Clusters": reporting.clusters,
    "Other data": reporting.other_data,
    "Report": reporting.report,
}
