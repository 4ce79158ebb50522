"""Compare: the headline table, what differs by more than chance, under which protocol, and ensembles."""

import os
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, panels
from dashboard.chosen import Chosen
from fer.errors import UserError
from fer.evaluation.protocol import protocol_card
from fer.evaluation.report import best_runs, headline_row, seed_groups

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


def scores(chosen: Chosen) -> None:
    """Headline table, seeds, significance and protocol cards."""
    runs = chosen.runs
    rows = [headline_row(run, chosen.report(run)) for run in runs]
    best = best_runs(rows)
    table = []
    for key, title, factor, decimals in MEASURES:
        if all(row.get(key) is None for row in rows):
            continue
        line = {"measure": title}
        for (name, run), row in zip(chosen.named, rows, strict=True):
            value = row.get(key)
            shown = "–" if value is None else f"{factor * value:,.{decimals}f}"
            if key == "accuracy" and row.get("interval"):
                shown += " [{:.1f}, {:.1f}]".format(*(100 * bound for bound in row["interval"]))
            winner = len(runs) > 1 and run.id in best.get(key, []) and len(best[key]) < len(runs)
            line[name] = f"{shown} ★" if winner else shown
        table.append(line)
    for key, title in (("images", "Images"), ("leaked", "of them leaked from training")):
        cells = {
            name: "–" if row[key] is None else f"{row[key]:,}"
            for name, row in zip(chosen.names, rows, strict=True)
        }
        table.append({"measure": title} | cells)
    panels.table(pd.DataFrame(table), "scores", csv=figures(rows), height="content")
    st.caption(
        f"Split: {chosen.split}. ★ best of the row. Brackets: 95 % bootstrap interval. Leaked: "
        f"pixel-identical to an "
        "image the run trained or validated on."
    )
    _latency(chosen)
    _seeds(chosen, rows)
    if len(runs) > 1:
        _significance(chosen)
    _protocol(chosen)
    panels.note(
        r"**Balanced accuracy** is the mean recall of the classes, $\frac1K\sum_c \mathrm{TP}_c/n_c$; "
        r"**macro F1** the mean of the classes' $2PR/(P+R)$, **weighted F1** weighs them by support; "
        r"**log loss** is $-\frac1N\sum \ln p_{i,y_i}$; **Cohen's kappa** is agreement beyond chance, "
        r"$(p_o-p_e)/(1-p_e)$; **expected calibration error** is the mean gap between confidence and "
        "accuracy over 15 bins."
    )


def figures(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a run, every figure of `headline_row` unrounded, for other programs."""
    frame = pd.DataFrame(rows)
    bounds = [row.get("interval") or (None, None) for row in rows]
    frame.insert(frame.columns.get_loc("accuracy") + 1, "accuracy_low", [low for low, _ in bounds])
    frame.insert(frame.columns.get_loc("accuracy") + 2, "accuracy_high", [high for _, high in bounds])
    return frame.drop(columns="interval")


def _latency(chosen: Chosen) -> None:
    """Measure all networks in turns, in this moment on this processor: the only fair comparison."""
    with st.popover("Measure the latency side by side", icon=":material/timer:", type="tertiary"):
        st.write(
            "The table shows what was measured when each run was evaluated: the lowest of five medians, one "
            "image at a time. It depends on the computer and on what else it did. Here the chosen networks "
            "take turns on this processor, now."
        )
        if not st.button("Measure now", icon=":material/play_arrow:"):
            return
        from fer.evaluation.inference import latencies

        try:
            with st.spinner("Loading and measuring …"):
                seconds = latencies([cached.model(run.directory) for run in chosen.runs])
        except UserError as error:
            st.warning(panels.plain(error))
            return
        rows = [
            {"run": name, "one image (ms)": 1000 * value, "times the fastest": value / min(seconds)}
            for name, value in zip(chosen.names, seconds, strict=True)
        ]
        decimals = {n: st.column_config.NumberColumn(format="%.2f") for n in list(rows[0])[1:]}
        panels.table(pd.DataFrame(rows), "latency", column_config=decimals)
        st.caption(f"{os.cpu_count()} processor cores; {_load()}. Float32, no GPU.")


def _load() -> str:
    """What else the computer does, in words."""
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return "load unknown" if busy is None else f"load {busy:.1f} (0 is an idle computer)"


def _seeds(chosen: Chosen, rows: list[dict[str, Any]]) -> None:
    for group in seed_groups(chosen.runs, rows):
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


def _significance(chosen: Chosen) -> None:
    st.subheader("Are they different?", anchor=False)
    try:
        tests = cached.significance(chosen.directories, chosen.split, chosen.dataset)
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


def _protocol(chosen: Chosen) -> None:
    st.subheader("Under which protocol", anchor=False)
    grid = st.grid(min(len(chosen.runs), 3), min_column_width=280, border=True)
    for name, run in chosen.named:
        card = protocol_card(run, chosen.report(run), chosen.split)
        with grid.cell():
            st.markdown(f"**{panels.plain(name)}**")
            lines = [
                ("Split", card.split),
                ("Checkpoint", card.checkpoint),
                ("Test-time augmentation", card.test_time_augmentation),
                ("Pretraining", card.pretraining),
                ("Seed", card.seed),
                *(("Excluded", text) for text in card.exclusions),
            ]
            st.markdown("\n".join(f"- {title}: {panels.plain(text)}" for title, text in lines))
            for warning in card.warnings:
                st.warning(panels.plain(warning), icon=":material/warning:")


def ensemble(chosen: Chosen) -> None:
    """Scores of the average and of the weighted average of the ticked runs."""
    if len(chosen.runs) < 2:
        st.info("Choose at least two runs.")
        return
    ticked = st.pills(
        "Members",
        chosen.names,
        selection_mode="multi",
        default=chosen.names,
        format_func=panels.plain,
        key="members",
    )
    members = replace(chosen, runs=tuple(run for name, run in chosen.named if name in ticked))
    if len(members.runs) < 2:
        st.info("Tick at least two members.")
        return
    found = cached.ensemble(members.directories, members.split, members.dataset)
    rows = []
    shown = [(f"average of {len(members.runs)}", found["average"]), ("weighted average", found["weighted"])]
    for name, report in [*shown, *chosen.reports.items()]:
        if report:
            factors = {key: factor for key, _, factor, _ in MEASURES}
            rows.append({"model": name} | {k: factors[k] * report[k] for k in factors if report.get(k)})
    columns = {
        key: st.column_config.NumberColumn(title, format=f"%.{decimals}f")
        for key, title, _, decimals in MEASURES
    }
    panels.table(pd.DataFrame(rows), "ensemble", column_config=columns)
    if found["weights"]:
        named = {run.id: name for name, run in members.named}
        weights = ", ".join(f"{panels.plain(named.get(r, r))} {w:.2f}" for r, w in found["weights"].items())
        st.caption(f"Weights, fitted on the validation images that every member shares: {weights}.")
    else:
        st.caption(panels.plain(found["reason"]))
