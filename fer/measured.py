"""What was measured here beside what the studies reported: the finished runs of a recipe on a data set.

A run counts as a measurement of its recipe when it changed nothing but what chance and place decide. The
notes of some recipes name one thing more that repeats the study; such runs are kept apart and say so: study
A's training without outliers (a selection), and study C's 64/16/20, whose test images are others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer.errors import UserError
from fer.means import by_seed, half_width
from fer.recipes import RECIPES, Recipe
from fer.recipes.recipe import CLEANED
from fer.reproduce import changes
from fer.runs import Run, list_runs, statuses
from fer.training.pinning import selection_used

# Differences that do not make it another experiment: chance, and where it ran.
SAME_EXPERIMENT = frozenset({"seed", "device", "jit"})
AS_IT_STANDS = "as it stands"
STUDY_C = "64/16/20, other test images"
# The figure a recipe is judged by: the first of these that its study reports.
FIGURES: dict[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "kappa": "kappa",
}


_VALUES = {"true": "on", "false": "off", "": "none", "{}": "none", "null": "all"}


@dataclass(frozen=True)
class Scored:
    """One finished training of a recipe.

    Attributes:
        run, name: its id and what it is called.
        metrics: what it recorded: shares in [0, 1] on its test images, and `log_loss`.
        seed: it was trained with.
        changed: what differs from the recipe in words, '' when nothing does.
        count: how many settings differ.
    """

    run: str
    name: str
    metrics: Mapping[str, Any]
    seed: int | None = None
    changed: str = ""
    count: int = 0

    @property
    def accuracy(self) -> float:
        return float(self.metrics["accuracy"])


@dataclass(frozen=True)
class Measured:
    """The runs of one recipe on one data set that are the same experiment.

    Attributes:
        recipe: its name.
        how: `AS_IT_STANDS`, or what the recipe's own note has one choose: "selection NAME@VERSION", or
            `STUDY_C`.
        runs: by the figure the recipe is judged by, the best first.
    """

    recipe: str
    how: str
    runs: tuple[Scored, ...]

    @property
    def seeds(self) -> int:
        """How many different seeds were trained."""
        return len(by_seed([(run.seed, 0.0) for run in self.runs]))

    def values(self, figure: str) -> list[float]:
        """A figure for each seed: training one seed again says nothing new about the others."""
        recorded = [(run.seed, run.metrics.get(figure)) for run in self.runs]
        return list(by_seed([(seed, float(value)) for seed, value in recorded if value is not None]).values())

    def best(self, figure: str = "accuracy") -> float | None:
        """The highest figure of a run."""
        recorded = [run.metrics.get(figure) for run in self.runs]
        return max((float(value) for value in recorded if value is not None), default=None)

    def mean(self, figure: str = "accuracy") -> float | None:
        values = self.values(figure)
        return sum(values) / len(values) if values else None

    def interval(self, figure: str = "accuracy") -> float | None:
        """Half-width of the mean's 95 % interval over the seeds; None below two seeds."""
        return half_width(self.values(figure))


@dataclass(frozen=True)
class Standing:
    """Everything measured of one recipe on one data set.

    Attributes:
        main: the runs of the recipe as it stands; None if there are none.
        others: the experiments that the recipe's notes name, the one with most runs first.
        nearest: of the other runs the one with fewest changes, then the best; None if there are none.
    """

    main: Measured | None = None
    others: tuple[Measured, ...] = ()
    nearest: Scored | None = None


def main_figure(recipe: Recipe) -> str:
    """The key of the figure a recipe is judged by: accuracy unless its study reports only others."""
    return next((key for key in FIGURES if recipe.reported.get(key) is not None), "accuracy")


def measured(dataset: str) -> dict[str, Standing]:
    """`{recipe: Standing}` over the finished trainings on a data set (fingerprint)."""
    groups: dict[str, dict[str, list[Scored]]] = {}
    others: dict[str, list[Scored]] = {}
    for run in _finished(dataset):
        metrics = run.test_metrics()
        if metrics.get("accuracy") is None:
            continue
        try:
            found = differences(run)
        except UserError:
            continue
        words = in_words(found, len(run.config.get("phases") or ()))
        scored = Scored(run.id, run.name, metrics, run.config.get("seed"), words, len(found))
        if "selection" in found:
            found["selection"] = selection_used(run)
        how = _same_as(RECIPES[run.recipe], found)
        if how:
            groups.setdefault(run.recipe, {}).setdefault(how, []).append(scored)
        else:
            others.setdefault(run.recipe, []).append(scored)
    return {name: _standing(name, groups.get(name, {}), others.get(name, [])) for name in groups | others}


def differences(run: Run) -> dict[str, str]:
    """What makes a training another experiment than its recipe, as `--set` takes it.

    Raises:
        UserError: it is no training, or its config is not valid.
    """
    found = changes(run.train_config())
    return {key: value for key, value in found.items() if key not in SAME_EXPERIMENT}


def in_words(found: Mapping[str, str], phases: int = 1) -> str:
    """`{setting: value}` of a training with so many phases for people: "settle off, epochs 5"."""
    words = []
    for key, value in found.items():
        parts = [part for part in key.split(".") if part != "split"]
        if parts[0] == "phases" and len(parts) == 3:
            parts = [f"phase {int(parts[1]) + 1}" if phases > 1 else "", parts[2]]
        name = " ".join(filter(None, parts)).replace("_", " ")
        shown = _VALUES.get(value, value)
        words.append(f"{name} {shown}" if len(shown) <= 40 else f"other {name}")
    return ", ".join(words)


def _finished(dataset: str) -> list[Run]:
    runs = [
        run
        for run in list_runs()
        if run.kind == "train"
        and run.recipe in RECIPES
        and not run.damaged
        and run.config.get("dataset") == dataset
    ]
    known = statuses(runs)
    return [run for run in runs if known[run.id].state == "finished"]


def _same_as(recipe: Recipe, found: Mapping[str, str]) -> str:
    """Which experiment of the recipe a run with these differences is; '' for another one."""
    if not found:
        return AS_IT_STANDS
    if set(found) == {"selection"} and CLEANED in recipe.notes:
        return f"selection {found['selection']}"
    if recipe.study == "C" and dict(found) == {"split.scheme": "64/16/20"}:
        return STUDY_C
    return ""


def _standing(recipe: str, groups: Mapping[str, Sequence[Scored]], others: Sequence[Scored]) -> Standing:
    figure = main_figure(RECIPES[recipe])

    def falling(run: Scored) -> tuple[float, float]:
        return -float(run.metrics.get(figure) or 0), -run.accuracy

    made = {how: Measured(recipe, how, tuple(sorted(runs, key=falling))) for how, runs in groups.items()}
    main = made.pop(AS_IT_STANDS, None)
    noted = sorted(made.values(), key=lambda group: (-len(group.runs), group.how))
    nearest = min(others, key=lambda run: (run.count, *falling(run)), default=None)
    return Standing(main, tuple(noted), nearest)
