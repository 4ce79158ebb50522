"""Ablations as groups of runs: queued together, tagged alike, read back as a table with intervals.

Each run of an ablation carries the tag `ablation:<id>` and the variant as its tag `variant:<name>`, so the
table needs nothing but the run folders.
"""

import secrets
import time
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

from fer.data.dataset import open_dataset
from fer.data.splits import split_indices
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run, create_run, list_runs, statuses, submit, tag
from fer.training.ablation import ablation, remedies
from fer.training.config import TrainConfig, with_seeds

GROUP, VARIANT, CLASS = "ablation:", "variant:", "class:"
BASE = "as it is"
RAREST = "disgust"
REMEDIES = "rare-"  # how ids of `start_remedies` begin


@dataclass(frozen=True)
class Row:
    """One variant of an ablation.

    Attributes:
        variant: what was changed.
        finished, planned: runs.
        accuracy, macro_f1: mean over the finished runs, shares in [0, 1]; None before the first.
        interval: half-width of the 95 % interval of the mean accuracy (Student's t over seeds), None below
            two finished runs.
        difference: mean accuracy minus that of the recipe as it is; None when unknown.
    """

    variant: str
    finished: int
    planned: int
    accuracy: float | None
    macro_f1: float | None
    interval: float | None
    difference: float | None


@dataclass(frozen=True)
class Remedy:
    """One remedy against few images of a class.

    Attributes:
        variant, emotion: what was done, and for which class.
        finished, planned: runs.
        recall, f1: of the class; macro_f1, accuracy: of all. Each (mean over the finished runs, half-width
            of its 95 % interval by Student's t or None below two runs), on the test images; None before
            the first.
    """

    variant: str
    emotion: str
    finished: int
    planned: int
    recall: tuple[float, float | None] | None
    f1: tuple[float, float | None] | None
    macro_f1: tuple[float, float | None] | None
    accuracy: tuple[float, float | None] | None


def start(config: TrainConfig, seeds: int = 3, selection: str = "", denoised: str = "") -> str:
    """Queue every variant over its seeds; returns the id of the ablation."""
    identifier = f"{config.recipe[:24]}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
    for variant, configs in ablation(config, seeds, selection, denoised).items():
        for single in configs:
            run = create_run(single.to_json(), kind="train", recipe=config.recipe)
            tag(run, [f"{GROUP}{identifier}"[:40], f"{VARIANT}{variant}"[:40]])
            submit(run)
    return identifier


def start_remedies(config: TrainConfig, generated: str, seeds: int = 3, emotion: str = RAREST) -> str:
    """Queue the remedies against few images of a class over the seeds; returns the id of the ablation.

    generated: set of generated faces of `emotion`. All variants divide the data set as its generator did,
    whatever the recipe says: what validates them, it has not seen. Each seed's SMOTE takes the features of
    that seed's training without a remedy, for which it waits in the queue.
    """
    from fer.generation.dataset import open_set

    chosen = open_set(generated)
    count = chosen.counts().get(emotion, 0)
    if not count:
        raise UserError(
            f"The set {chosen.reference!r} has no face of {emotion}; choose another set or class."
        )
    if chosen.dataset != config.dataset:
        raise UserError(
            f"The faces of {chosen.reference!r} were learned from another data set than the recipe is to "
            "train on. Choose a set made from this one."
        )
    config = replace(config, split=chosen.split)
    real = _training_images(config, emotion)
    identifier = f"{REMEDIES}{config.recipe[:16]}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
    for single in with_seeds(config, seeds):
        base = ""
        for variant, changed in remedies(single, emotion, real + count, chosen.reference).items():
            changed = replace(changed, smote=base) if variant == "SMOTE" else changed
            run = create_run(changed.to_json(), kind="train", recipe=config.recipe)
            tag(run, [f"{GROUP}{identifier}"[:40], f"{VARIANT}{variant}"[:40], f"{CLASS}{emotion}"])
            submit(run)
            base = base or run.id
    return identifier


def remedies_table(identifier: str) -> list[Remedy]:
    """One row a variant, the recipe as it is first."""
    rows = []
    for variant, runs in _members(identifier).items():
        emotion = next((x.removeprefix(CLASS) for x in runs[0].tags if x.startswith(CLASS)), RAREST)
        known = statuses(runs)
        figures = [_class_figures(run, emotion) for run in runs if known[run.id].state == "finished"]
        found = [one for one in figures if one is not None]
        means = {
            key: _interval([one[key] for one in found]) for key in ("recall", "f1", "macro_f1", "accuracy")
        }
        rows.append(Remedy(variant, emotion, len(found), len(runs), **means))
    return rows


def _class_figures(run: Run, emotion: str) -> dict[str, float] | None:
    """Recall and F1 of a class, macro F1 and accuracy on the test images; None when they are not stored."""
    from fer.evaluation.report import run_report

    try:
        report = run_report(run.directory, split=str(run.metrics().get("split") or "test"), compute=False)
    except UserError:
        return None
    single = report["per_class"][emotion]
    return {
        "recall": single["recall"],
        "f1": single["f1"],
        "macro_f1": report["macro_f1"],
        "accuracy": report["accuracy"],
    }


def _interval(values: list[float]) -> tuple[float, float | None] | None:
    return (mean(values), _half_width(values)) if values else None


def _training_images(config: TrainConfig, emotion: str) -> int:
    dataset = open_dataset(config.dataset)
    train = split_indices(dataset, config.split, classes=config.classes, limit=config.limit)["train"]
    return int((dataset.labels[train] == EMOTIONS.index(emotion)).sum())


def identifiers(of_remedies: bool = False) -> list[str]:
    """Ids of the ablations there are, the newest first; those of `start_remedies` by themselves."""
    runs = sorted(list_runs(), key=lambda run: run.created, reverse=True)
    found = [text.removeprefix(GROUP) for run in runs for text in run.tags if text.startswith(GROUP)]
    return [name for name in dict.fromkeys(found) if name.startswith(REMEDIES) == of_remedies]


def table(identifier: str) -> list[Row]:
    """One row a variant, the recipe as it is first."""
    members = _members(identifier)
    known = statuses(run for runs in members.values() for run in runs)
    scores = {
        variant: [run.metrics() for run in runs if known[run.id].state == "finished"]
        for variant, runs in members.items()
    }
    base = _mean(next(iter(scores.values()), []), "accuracy")
    rows = []
    for variant, runs in members.items():
        accuracy = _mean(scores[variant], "accuracy")
        rows.append(
            Row(
                variant,
                len(scores[variant]),
                len(runs),
                accuracy,
                _mean(scores[variant], "macro_f1"),
                _half_width([m["accuracy"] for m in scores[variant] if m.get("accuracy") is not None]),
                accuracy - base if accuracy is not None and base is not None else None,
            )
        )
    return rows


def _members(identifier: str) -> dict[str, list[Run]]:
    """`{variant: runs}` of an ablation, in the order they were made."""
    members: dict[str, list[Run]] = {}
    for run in sorted(list_runs(), key=lambda run: run.created):
        if f"{GROUP}{identifier}"[:40] in run.tags:
            variant = next((x.removeprefix(VARIANT) for x in run.tags if x.startswith(VARIANT)), "?")
            members.setdefault(variant, []).append(run)
    return members


def _mean(metrics: list[dict[str, Any]], key: str) -> float | None:
    values = [m[key] for m in metrics if m.get(key) is not None]
    return mean(values) if values else None


def _half_width(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
