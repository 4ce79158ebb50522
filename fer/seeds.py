"""One training over several seeds: queued together, tagged alike, read back as mean ± standard deviation.

Each run carries the tag `seeds:<id>`, so the figures need nothing but the run folders.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fer.errors import UnknownName
from fer.means import mean_and_deviation
from fer.runs import Run, create_run, list_runs, statuses, tag
from fer.runs.creation import check_free
from fer.training.config import TrainConfig, with_seeds
from fer.training.pinning import pinned

GROUP = "seeds:"
MEASURES = ("accuracy", "accuracy_without_leaks", "macro_f1")


@dataclass(frozen=True)
class Spread:
    """What several seeds of one training came to.

    Attributes:
        seeds: id of the group.
        recipe: of its runs.
        finished, planned: runs.
        accuracy, accuracy_without_leaks, macro_f1: (mean, sample standard deviation) over the finished runs
            on their test images, shares in [0, 1]; the deviation is None below two runs, the pair before the
            first.
    """

    seeds: str
    recipe: str
    finished: int
    planned: int
    accuracy: tuple[float, float | None] | None
    accuracy_without_leaks: tuple[float, float | None] | None
    macro_f1: tuple[float, float | None] | None


def make(config: TrainConfig, count: int, name: str = "", repeat_after: float = 0) -> Iterator[Run]:
    """The runs of `config` over `count` seeds, each made when it is asked for, to be submitted or run.

    name: of the runs, each with its seed behind it; '' for names made from recipe and time.
    repeat_after: as in `create_run`: the same wish within these seconds gives the same runs.

    Raises:
        UserError: as in `create_run`; a name that is taken is said before any run is made.
    """
    # Now, for all of them: the last may be made hours later, after its selection was edited.
    configs = with_seeds(TrainConfig.from_json(pinned(config.to_json())), count)
    names = [f"{name[:45].strip()} seed {single.seed}" if name else None for single in configs]
    taken = {run.name for run in list_runs()} & set(names)
    if len(taken) < count:  # all of them: the same wish again, or a refusal of the first
        for one in sorted(filter(None, taken)):
            check_free(one)
    identifier = ""
    for single, called in zip(configs, names, strict=True):
        run = create_run(
            single.to_json(), kind="train", name=called, recipe=config.recipe, repeat_after=repeat_after
        )
        identifier = group_of(run) or identifier or _new(config.recipe)
        yield run if group_of(run) else tag(run, [*run.tags, GROUP + identifier])


def group_of(run: Run) -> str:
    """The id of the group a run belongs to; '' for none."""
    return next((text.removeprefix(GROUP) for text in run.tags if text.startswith(GROUP)), "")


def groups() -> dict[str, list[Run]]:
    """`{id: runs by seed}`, the newest group first."""
    found: dict[str, list[Run]] = {}
    for run in list_runs():
        if identifier := group_of(run):
            found.setdefault(identifier, []).append(run)
    return {key: sorted(runs, key=lambda run: run.config.get("seed", 0)) for key, runs in found.items()}


def spreads(identifier: str = "") -> list[Spread]:
    """The figures of one group, or of all, the newest first.

    Raises:
        UnknownName: there is no such group.
    """
    known = groups()
    if identifier and identifier not in known:
        raise UnknownName("group of seeds", identifier, list(known))
    return [_spread(key, runs) for key, runs in known.items() if identifier in ("", key)]


def finished_figures(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """`{run id: {measure: value}}` on the test images of the runs that have finished; {} without any."""
    known = statuses(runs)
    done = {run.id: run.test_metrics() for run in runs if known[run.id].state == "finished"}
    return {
        key: {name: found[name] for name in MEASURES if found.get(name) is not None}
        for key, found in done.items()
    }


def _spread(identifier: str, runs: Sequence[Run]) -> Spread:
    figures = finished_figures(runs).values()
    pairs = {name: mean_and_deviation([f[name] for f in figures if name in f]) for name in MEASURES}
    return Spread(identifier, runs[0].recipe, len(figures), len(runs), **pairs)


def _new(recipe: str) -> str:
    return f"{recipe[:16]}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(3)}"
