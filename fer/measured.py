"""What was measured here beside what the studies reported: the runs that used a recipe unchanged."""

from dataclasses import dataclass
from typing import Any

from fer.errors import UserError
from fer.recipes import RECIPES
from fer.reproduce import changes
from fer.runs import Run, list_runs, statuses

# Differences that do not make it another experiment: chance, and where it ran.
SAME_EXPERIMENT = frozenset({"seed", "device", "jit"})


@dataclass(frozen=True)
class Measured:
    """The finished runs of one recipe, unchanged, on one data set.

    Attributes:
        recipe: its name.
        runs: ids, the best first.
        accuracy: shares in [0, 1] on the test split, in the order of `runs`.
    """

    recipe: str
    runs: tuple[str, ...]
    accuracy: tuple[float, ...]

    @property
    def best(self) -> float:
        return self.accuracy[0]

    @property
    def mean(self) -> float:
        return sum(self.accuracy) / len(self.accuracy)


def measured(dataset: str) -> dict[str, Measured]:
    """`{recipe: Measured}` over the finished runs on a data set (fingerprint) that changed nothing."""
    found: dict[str, list[tuple[float, str]]] = {}
    runs = list_runs()
    known = statuses(runs)
    for run in runs:
        if known[run.id].state != "finished" or run.config.get("dataset") != dataset or not unchanged(run):
            continue
        metrics: dict[str, Any] = run.metrics()
        if metrics.get("accuracy") is not None and metrics.get("split", "test") == "test":
            found.setdefault(run.recipe, []).append((float(metrics["accuracy"]), run.id))
    return {
        recipe: Measured(recipe, tuple(i for _, i in scores), tuple(a for a, _ in scores))
        for recipe, scores in ((name, sorted(scores, reverse=True)) for name, scores in found.items())
    }


def unchanged(run: Run) -> bool:
    """Whether a run trained its recipe as it stands, seed and device aside."""
    if run.kind != "train" or run.recipe not in RECIPES or run.damaged:
        return False
    try:
        return set(changes(run.train_config())) <= SAME_EXPERIMENT
    except UserError:
        return False
