"""Ablations as groups of runs: queued together, tagged alike, read back as a table with intervals.

Each run of an ablation carries the tag `ablation:<id>` and the variant as its tag `variant:<name>`, so the
table needs nothing but the run folders.
"""

import secrets
import time
from dataclasses import dataclass, replace

from fer.data.dataset import open_dataset
from fer.data.splits import split_indices
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.means import difference, mean_of
from fer.runs import Run, create_run, list_runs, statuses, submit, tag
from fer.training.ablation import ablation, remedies
from fer.training.config import TrainConfig, with_seeds

GROUP, VARIANT, CLASS = "ablation:", "variant:", "class:"
BASE, DENOISED = "as it is", "denoised"  # variants of `fer.training.ablation`
RAREST = "disgust"
REMEDIES = "rare-"  # how ids of `start_remedies` begin


FAILED = ("failed", "killed", "interrupted")
LONGEST_TAG = 40  # of `fer.runs.tag`


@dataclass(frozen=True)
class Row:
    """One variant of an ablation.

    Attributes:
        variant: what was changed.
        finished, planned, failed, stopped: runs; killed and interrupted ones count as failed.
        accuracy, macro_f1, without_leaks: mean over the finished runs on the test images, shares in [0, 1];
            None before the first. `without_leaks` is the accuracy without leaked images.
        interval, macro_f1_interval: half-widths of the 95 % intervals of these means (Student's t over
            seeds), None below two finished runs.
        difference, difference_interval, pairs: accuracy minus that of the recipe as it is, over runs of the
            same seed where there are some, see `fer.means.difference`; None when unknown, as without a
            finished run of the recipe as it is.
    """

    variant: str
    finished: int
    planned: int
    failed: int
    stopped: int
    accuracy: float | None
    interval: float | None
    difference: float | None
    difference_interval: float | None
    pairs: int
    macro_f1: float | None
    macro_f1_interval: float | None
    without_leaks: float | None


@dataclass(frozen=True)
class Known:
    """An ablation there is: its id, and recipe and data set (fingerprint) of its runs.

    The data set is the denoised copy only where no run of another variant is left.
    """

    identifier: str
    recipe: str
    dataset: str


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


def start(
    config: TrainConfig, seeds: int = 3, selection: str = "", denoised: str = "", identifier: str = ""
) -> str:
    """Queue every variant over its seeds; returns the id of the ablation, a new one without `identifier`.

    Called again with the same id (a job that was killed meanwhile and resumed), it queues what is missing.

    Raises:
        UserError: as `fer.training.ablation.ablation`, or a run cannot be made or submitted.
    """
    identifier = identifier or new_identifier(config.recipe)
    for variant, configs in ablation(config, seeds, selection, denoised).items():
        for single in configs:
            wish = f"{identifier}, {variant}, seed {single.seed}"
            run = create_run(single.to_json(), kind="train", recipe=config.recipe, request=wish)
            tag(run, [*run.tags, _tag(identifier), f"{VARIANT}{variant}"])  # it may have the user's tags
            status = run.status()
            if not (status.active or status.started):
                submit(run)
    return identifier


def new_identifier(recipe: str, prefix: str = "") -> str:
    """`<recipe>-<MMDD-HHMM>-<4 hex>`, the recipe shortened so that all of it is within one tag."""
    ending = f"-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
    room = LONGEST_TAG - len(GROUP) - len(prefix) - len(ending)
    return f"{prefix}{recipe[:room].rstrip('_-')}{ending}"


def _tag(identifier: str) -> str:
    """The tag of an ablation's runs; earlier versions gave longer ids, whose ends are not in the tags."""
    return f"{GROUP}{identifier}"[:LONGEST_TAG]


def start_remedies(config: TrainConfig, generated: str, seeds: int = 3, emotion: str = RAREST) -> str:
    """Queue the remedies against few images of a class over the seeds; returns the id of the ablation.

    generated: set of generated faces of `emotion`. All variants divide the data set as its generator did,
    whatever the recipe says: what validates them, it has not seen. Each seed's SMOTE takes the features of
    that seed's training without a remedy, for which it waits in the queue.

    Raises:
        UserError: the set has no face of the class or was made from another data set, or as in `start`.
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
    identifier = new_identifier(config.recipe, REMEDIES)
    for single in with_seeds(config, seeds):
        base = ""
        for variant, changed in remedies(single, emotion, real + count, chosen.reference).items():
            changed = replace(changed, smote=base) if variant == "SMOTE" else changed
            run = create_run(changed.to_json(), kind="train", recipe=config.recipe)
            tag(run, [_tag(identifier), f"{VARIANT}{variant}", f"{CLASS}{emotion}"])
            submit(run)
            base = base or run.id
    return identifier


def remedies_table(identifier: str) -> list[Remedy]:
    """One row a variant, the recipe as it is first."""
    rows = []
    for variant, runs in _members(identifier).items():
        emotion = next((x.removeprefix(CLASS) for x in runs[0].tags if x.startswith(CLASS)), RAREST)
        states = statuses(runs)
        done = [run for run in runs if states[run.id].state == "finished"]
        found = [one for run in done if (one := _class_figures(run, emotion)) is not None]
        means = {
            key: mean_of([one[key] for one in found]) for key in ("recall", "f1", "macro_f1", "accuracy")
        }
        rows.append(Remedy(variant, emotion, len(done), len(runs), **means))
    return rows


def _class_figures(run: Run, emotion: str) -> dict[str, float] | None:
    """Recall and F1 of a class, macro F1 and accuracy on the test images; None when they are not stored."""
    from fer.evaluation.report import run_report

    if not run.test_metrics():
        return None
    try:
        report = run_report(run.directory, split="test", compute=False)
    except UserError:
        return None
    single = report["per_class"][emotion]
    return {
        "recall": single["recall"],
        "f1": single["f1"],
        "macro_f1": report["macro_f1"],
        "accuracy": report["accuracy"],
    }


def _training_images(config: TrainConfig, emotion: str) -> int:
    dataset = open_dataset(config.dataset)
    train = split_indices(dataset, config.split, classes=config.classes, limit=config.limit)["train"]
    return int((dataset.labels[train] == EMOTIONS.index(emotion)).sum())


def known(of_remedies: bool = False) -> list[Known]:
    """The ablations there are, the newest first; those of `start_remedies` by themselves."""
    found: dict[str, Known] = {}
    for run in list_runs():
        for text in run.tags:
            if not text.startswith(GROUP):
                continue
            name = text.removeprefix(GROUP)
            if name not in found or f"{VARIANT}{DENOISED}" not in run.tags:  # that one has another data set
                found[name] = Known(name, run.recipe, str(run.config.get("dataset") or ""))
    return [one for one in found.values() if one.identifier.startswith(REMEDIES) == of_remedies]


def identifiers(of_remedies: bool = False) -> list[str]:
    """Ids of the ablations there are, the newest first."""
    return [one.identifier for one in known(of_remedies)]


def active(identifier: str) -> bool:
    """Whether a run of an ablation waits or runs."""
    runs = [run for runs in _members(identifier).values() for run in runs]
    return any(status.active for status in statuses(runs).values())


def table(identifier: str) -> list[Row]:
    """One row a variant, in the order they were queued: the recipe as it is first."""
    members = _members(identifier)
    states = statuses(run for runs in members.values() for run in runs)
    finished = {
        variant: [run for run in runs if states[run.id].state == "finished"]
        for variant, runs in members.items()
    }
    base = _seeded(finished.get(BASE, []), "accuracy")
    rows = []
    for variant, runs in members.items():
        done = finished[variant]
        accuracy, macro, clean = (
            mean_of([value for _, value in _seeded(done, key)])
            for key in ("accuracy", "macro_f1", "accuracy_without_leaks")
        )
        apart = difference(_seeded(done, "accuracy"), base)
        rows.append(
            Row(
                variant=variant,
                finished=len(done),
                planned=len(runs),
                failed=sum(states[run.id].state in FAILED for run in runs),
                stopped=sum(states[run.id].state == "stopped" for run in runs),
                accuracy=accuracy[0] if accuracy else None,
                interval=accuracy[1] if accuracy else None,
                difference=apart.value if apart else None,
                difference_interval=apart.interval if apart and variant != BASE else None,
                pairs=apart.pairs if apart else 0,
                macro_f1=macro[0] if macro else None,
                macro_f1_interval=macro[1] if macro else None,
                without_leaks=clean[0] if clean else None,
            )
        )
    return rows


def _members(identifier: str) -> dict[str, list[Run]]:
    """`{variant: runs}` of an ablation, in the order they were made."""
    members: dict[str, list[Run]] = {}
    for run in sorted(list_runs(), key=lambda run: run.created):
        if _tag(identifier) in run.tags:
            variant = next((x.removeprefix(VARIANT) for x in run.tags if x.startswith(VARIANT)), "?")
            members.setdefault(variant, []).append(run)
    return members


def _seeded(runs: list[Run], key: str) -> list[tuple[int | None, float]]:
    """(seed, value) of a figure of every run that recorded it on test images."""
    values = ((run.config.get("seed"), run.test_metrics().get(key)) for run in runs)
    return [(seed, float(value)) for seed, value in values if value is not None]
