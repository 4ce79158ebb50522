"""What a study reported beside what was measured here, figure by figure, and how a recipe trains."""

from statistics import mean
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, panels
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.means import by_seed
from fer.measured import FIGURES, Measured, Standing, main_figure
from fer.recipes import Recipe
from fer.runs import open_run
from fer.training.config import TrainConfig

SHOWN = {
    "accuracy": "accuracy",
    "accuracy_without_leaks": "accuracy without leaks",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "kappa": "kappa",
    "log_loss": "log loss",
}
UNITLESS = ("log loss",)  # no shares
Report = tuple[int | None, dict[str, Any]]  # (seed, report of a run)


def reported_and_measured(recipe: Recipe, standing: Standing) -> None:
    """Every figure of the study and ours: the mean over the seeds, the best run, the difference."""
    main = standing.main
    numbers = figures(recipe, main, _reports(main))
    if numbers.empty:
        st.info("The study gives no figure, and nothing was measured here yet.")
    else:
        panels.table(
            _as_text(numbers, main),
            f"reported-{recipe.name}",
            csv=numbers,
            height="content",
            column_config={
                "figure": st.column_config.TextColumn(width=150),
                "reported": st.column_config.TextColumn(width=65),
                "here": st.column_config.TextColumn(width=95),
                "difference": st.column_config.TextColumn(width=110),
                "best run": st.column_config.TextColumn(width=65),
            },
        )
    if main is not None:
        several = main.seeds > 1
        st.caption(
            f"Here: {'mean of ' if len(main.runs) > 1 else ''}{_runs(main)}, {panels.plain(main.how)}"
            + (", ± half of the 95 % interval over the seeds (Student's t)" if several else "")
            + ". The difference is here minus reported; the best run is the one with the best "
            + f"{FIGURES[main_figure(recipe)]}."
        )
        panels.go_to("runs", f"The best run: {panels.plain(main.runs[0].name)}", run=main.runs[0].run)
    _others(standing, main_figure(recipe))


def figures(recipe: Recipe, main: Measured | None, reports: list[Report]) -> pd.DataFrame:
    """`figure, reported, here, ±, best run, difference` as numbers (shares, not per cent).

    reports: (seed, report) of the runs of `main`, as far as there are any, the best run first.
    """
    rows: list[dict[str, Any]] = []

    def add(name: str, reported: float | None, here: float | None, half: float | None, best: Any) -> None:
        if reported is None and here is None:
            return
        rows.append(
            {
                "figure": name,
                "reported": reported,
                "here": here,
                "±": half,
                "best run": best,
                "difference": here - reported if here is not None and reported is not None else None,
            }
        )

    for key, name in SHOWN.items():
        half, best = (main.interval(key), main.runs[0].metrics.get(key)) if main else (None, None)
        add(name, recipe.reported.get(key), main.mean(key) if main else None, half, best)
    per_class = recipe.reported.get("per_class", {})
    for measure, title in (("f1", "F1"), ("recall", "recall")):
        if measure == "recall" and not any("recall" in found for found in per_class.values()):
            continue
        for emotion in EMOTIONS:
            # A class that is left out has no images, and a figure of them says nothing.
            of_class = [(seed, report["per_class"][emotion]) for seed, report in reports]
            pairs = [(seed, found[measure]) for seed, found in of_class if found["support"]]
            here = mean(by_seed(pairs).values()) if pairs else None
            best = pairs[0][1] if pairs else None
            add(f"{title} of {emotion}", per_class.get(emotion, {}).get(measure), here, None, best)
    return pd.DataFrame(rows)


def _reports(main: Measured | None) -> list[Report]:
    found = []
    for run in main.runs if main else ():
        try:
            found.append((run.seed, cached.report(open_run(run.run).directory, None, "test")))
        except UserError:  # removed, or not evaluated: the recorded figures are shown nevertheless
            continue
    return found


def _as_text(numbers: pd.DataFrame, main: Measured | None) -> pd.DataFrame:
    """Per cent and points, log loss as it is: one column holds both, so they are texts."""
    rows = [_texts(row, row["figure"] in UNITLESS) for row in numbers.to_dict("records")]
    frame = pd.DataFrame(rows)
    several = main is not None and len(main.runs) > 1
    empty = [name for name in frame if frame[name].isna().all()]
    return frame.drop(columns=empty if several else {*empty, "best run"} & set(frame))


def _texts(row: dict[str, Any], unitless: bool) -> dict[str, str | None]:
    def shown(value: float, unit: str = " %") -> str | None:
        if pd.isna(value):
            return None
        return f"{value:.3f}" if unitless else f"{100 * value:.1f}{unit}"

    here, half, apart = shown(row["here"], ""), shown(row["±"], ""), row["difference"]
    here = here if here is None or half is None else f"{here} ± {half}"
    difference = shown(apart if pd.isna(apart) else abs(apart), "")
    return {
        "figure": row["figure"],
        "reported": shown(row["reported"]),
        "here": here if here is None or unitless else f"{here} %",
        # A text that begins with a sign could be a formula, and is marked as none.
        "difference": difference and f"{difference}{'' if unitless else ' points'} {_way(apart)}",
        "best run": shown(row["best run"]),
    }


def _way(difference: float) -> str:
    return "more" if difference >= 0 else "less"


def _others(standing: Standing, figure: str) -> None:
    """Runs that follow a note of the recipe, and the nearest of the others."""
    for group in standing.others:
        value, half = group.mean(figure), group.interval(figure)
        if value is not None:
            spread = f" ± {100 * half:.1f}" if half is not None else ""
            st.caption(
                f"With {panels.plain(group.how)}: {100 * value:.1f}{spread} % {FIGURES[figure]} "
                f"({_runs(group)})."
            )
    nearest = standing.nearest
    if nearest is not None and standing.main is None:
        value = nearest.metrics.get(figure)
        shown = f"{100 * float(value):.1f} %" if value is not None else "no figure"
        panels.go_to(
            "runs",
            f"Nearest run: {shown} {FIGURES[figure]} ({panels.plain(nearest.changed)})",
            run=nearest.run,
        )


def _runs(group: Measured) -> str:
    """How many, and of how many seeds where some were trained more than once."""
    count, seeds = len(group.runs), group.seeds
    if count == 1:
        return "one run"
    return f"{count} runs" if seeds == count else f"{count} runs of {seeds} seed{'s' if seeds > 1 else ''}"


def how_it_trains(config: TrainConfig, name: str, own_validation: int = 0) -> None:
    """The phases as a table, and what holds for all of them.

    own_validation: validation images that the data set comes with, which are used then.
    """
    rows = [
        {
            "phase": phase.name,
            "epochs": phase.epochs,
            "trains": phase.trainable,
            "optimizer": phase.optimizer,
            "rate": f"{phase.learning_rate:g}",
            "schedule": phase.schedule
            + (f", {phase.warmup_epochs:g} warm-up epochs" if phase.warmup_epochs else ""),
            "images": phase.images + (", varied" if phase.augment and config.augmentation.active else ""),
        }
        for phase in config.all_phases
    ]
    panels.grid(pd.DataFrame(rows), f"phases-{name}")
    st.caption(" · ".join(panels.plain(text) for text in settings(config, own_validation)))


def settings(config: TrainConfig, own_validation: int = 0) -> list[str]:
    """What holds for all phases, in a few words each; what is off is left out, class weights aside."""
    weights = config.class_weights
    if not isinstance(weights, str):
        weights = ", ".join(f"{emotion} ×{weight:g}" for emotion, weight in weights.items())
    split = config.split
    drawn = {"release": "test images as released", "kfold": f"fold {split.fold} of {split.folds}"}
    share = ""
    if split.scheme == "release" and own_validation:
        share = f", the data set's own {own_validation:,} images validate"
    elif split.scheme == "release":
        share = f", {100 * split.validation_fraction:g} % of train validate"
    found = [
        f"batch {config.batch_size}",
        f"class weights {weights}",
        f"split: {drawn.get(split.scheme, split.scheme)}{share}",
        f"augmentation: {_augmentation(config)}",
        f"pixels {'standardised' if config.preprocessing == 'standardise' else 'scaled to 0–1'}",
    ]
    if split.per_class:
        found.append(f"at most {split.per_class:,} images a class")
    if len(config.classes) < len(EMOTIONS):
        found.append("without " + ", ".join(name for name in EMOTIONS if name not in config.classes))
    found += [f"{emotion} repeated to {count:,}" for emotion, count in config.oversample.items()]
    numbers = {
        "label smoothing": config.label_smoothing,
        "MixUp α": config.mixup,
        "CutMix α": config.cutmix,
        "weight averaging": config.ema,
    }
    found += [f"{name} {value:g}" for name, value in numbers.items() if value]
    if config.loss != "crossentropy":
        found.append(f"{config.loss} loss")
    if config.settle:
        found.append("settled at the end")
    if config.early_stopping_patience:
        found.append(
            f"a phase ends after {config.early_stopping_patience} epochs without better "
            f"{config.early_stopping_monitor}"
        )
    return [*found, f"keeps the best {config.checkpoint_monitor}"]


def _augmentation(config: TrainConfig) -> str:
    """The amounts that are not zero."""
    if not config.augmentation.active:
        return "none"
    words = []
    for name, value in config.augmentation.to_json().items():
        if name in ("fill", "fill_value") or not value:
            continue
        label = name.replace("_", " ")
        if isinstance(value, dict):
            words.append("more for " + ", ".join(f"{emotion} ×{x:g}" for emotion, x in value.items()))
        elif value is True:
            words.append(label)
        else:
            words.append(f"{label} {value:g}{'°' if name in ('rotation', 'shear') else ''}")
    return ", ".join(words)
