"""Expected times of recipes on this machine: the finished jobs `estimate`, and the ones still to be done.

A time is that of one recipe on one data set. It holds as long as the recipe's config is the one that was
timed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fer.recipes import RECIPES, recipe_config
from fer.runs import Run, create_run, list_runs, statuses, submit

KIND = "estimate"


@dataclass(frozen=True)
class Expected:
    """How long a recipe takes on a data set.

    Attributes:
        run: id of the job that measured it.
        seconds: of the whole training, with what compiles and the last evaluation.
        facts: all that `fer.training.estimate` found.
    """

    run: str
    seconds: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Times:
    """What is known of a data set's expected times.

    Attributes:
        known: `{recipe: Expected}`.
        active: `{recipe: job}` that is queued or running.
        failed: `{recipe: job}` whose latest job failed, with nothing known.
    """

    known: dict[str, Expected]
    active: dict[str, Run]
    failed: dict[str, Run]

    @property
    def missing(self) -> list[str]:
        """Recipes that are neither timed nor about to be."""
        return [name for name in RECIPES if name not in self.known and name not in self.active]


def expected_times(dataset: str) -> Times:
    """The newest estimate of every recipe on a data set (fingerprint)."""
    jobs = [
        run
        for run in list_runs()
        if run.kind == KIND and run.config.get("dataset") == dataset and run.recipe in RECIPES
    ]
    jobs = [run for run in jobs if run.config == _config(run.recipe, dataset)]
    states = statuses(jobs)
    times = Times({}, {}, {})
    for run in jobs:  # the newest first
        state = states[run.id]
        if state.active:
            times.active.setdefault(run.recipe, run)
        elif state.state == "finished" and run.recipe not in times.known:
            facts = run.metrics()
            seconds = float(facts["seconds"]) + float(facts.get("overhead") or 0)
            times.known[run.recipe] = Expected(run.id, seconds, facts)
        elif state.state != "finished":
            times.failed.setdefault(run.recipe, run)
    for recipe in (*times.known, *times.active):
        times.failed.pop(recipe, None)
    return times


def measure(dataset: str, recipes: Iterable[str]) -> list[Run]:
    """Queue the estimate of each recipe on a data set; one that is on its way is not doubled."""
    active = expected_times(dataset).active
    made = []
    for recipe in recipes:
        if recipe not in active:
            run = create_run(_config(recipe, dataset), kind=KIND, recipe=recipe, repeat_after=5)
            submit(run)
            made.append(run)
    return made


def _config(recipe: str, dataset: str) -> dict[str, Any]:
    return recipe_config(recipe, dataset).to_json()
