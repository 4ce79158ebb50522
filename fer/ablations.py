"""Ablations as groups of runs: queued together, tagged alike, read back as a table with intervals.

Each run of an ablation carries the tag `ablation:<id>` and the variant as its tag `variant:<name>`, so the
table needs nothing but the run folders.
"""

import secrets
import time
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

from fer.runs import Run, create_run, list_runs, statuses, submit, tag
from fer.training.ablation import ablation
from fer.training.config import TrainConfig

GROUP, VARIANT = "ablation:", "variant:"
BASE = "as it is"


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


def start(config: TrainConfig, seeds: int = 3, selection: str = "", denoised: str = "") -> str:
    """Queue every variant over its seeds; returns the id of the ablation."""
    identifier = f"{config.recipe[:24]}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
    for variant, configs in ablation(config, seeds, selection, denoised).items():
        for single in configs:
            run = create_run(single.to_json(), kind="train", recipe=config.recipe)
            tag(run, [f"{GROUP}{identifier}"[:40], f"{VARIANT}{variant}"[:40]])
            submit(run)
    return identifier


def identifiers() -> list[str]:
    """Ids of the ablations there are, the newest first."""
    runs = sorted(list_runs(), key=lambda run: run.created, reverse=True)
    found = [text.removeprefix(GROUP) for run in runs for text in run.tags if text.startswith(GROUP)]
    return list(dict.fromkeys(found))


def table(identifier: str) -> list[Row]:
    """One row a variant, the recipe as it is first."""
    members: dict[str, list[Run]] = {}
    for run in sorted(list_runs(), key=lambda run: run.created):
        if f"{GROUP}{identifier}"[:40] in run.tags:
            variant = next((x.removeprefix(VARIANT) for x in run.tags if x.startswith(VARIANT)), "?")
            members.setdefault(variant, []).append(run)
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


def _mean(metrics: list[dict[str, Any]], key: str) -> float | None:
    values = [m[key] for m in metrics if m.get(key) is not None]
    return mean(values) if values else None


def _half_width(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
