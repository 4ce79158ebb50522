"""Which images train, which validate, which test: one frozen config, reproducible from its JSON.

Schemes:
    release   The data set's own validation split if it has one, else `int(n * validation_fraction)`
              images of each class of train (studies A, B, D; 22,968 / 5,741 on FER-2013).
    kfold     Stratified k-fold over everything that is not test; fold `fold` validates.
    64/16/20  Study C: train, validation and *test* all drawn from what is not test
              (18,373 / 4,594 / 5,742 on FER-2013).

Pixel-identical images stay together by default. FER-2013 repeats 1,273 faces, and a copy of a training
image in validation measures memory, not learning. Grouping does not cost the studies' counts: whole
groups are dealt first and single images fill each class up to its exact number.

The split is drawn before a selection is applied, so runs with and without cleaning validate on the same
images. A selection then drops or relabels in train and validation; the test images are never touched,
or their figures could not be compared.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    from fer.data.selection import Selection

SCHEMES: tuple[str, ...] = ("release", "kfold", "64/16/20")


@dataclass(frozen=True)
class SplitConfig:
    """How a data set is divided.

    Attributes:
        scheme: one of `SCHEMES`.
        validation_fraction: share of each class that validates, in (0, 0.9], for `release`.
        folds: 2 to 20, for `kfold`.
        fold: 0 to `folds` - 1, the one that validates.
        per_class: at most this many training images of each class (studies D: 750, 2,500); None for all.
        seed: of every draw, 0 to 2**32 - 1.
        group_duplicates: keep pixel-identical images on one side.

    Raises:
        UserError: a value outside its limits.
    """

    scheme: str = "release"
    validation_fraction: float = 0.2
    folds: int = 5
    fold: int = 0
    per_class: int | None = None
    seed: int = 0
    group_duplicates: bool = True

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UnknownName("split scheme", self.scheme, SCHEMES)
        fraction = self.validation_fraction
        if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 0.9:
            raise UserError(
                f"The validation fraction is {repr(fraction)[:80]}; give a number above 0, at most 0.9."
            )
        _check_integer("number of folds", self.folds, 2, 20)
        _check_integer("fold", self.fold, 0, self.folds - 1)
        _check_integer("split seed", self.seed, 0, 2**32 - 1)
        if self.per_class is not None:
            _check_integer("number of images per class", self.per_class, 1, 1_000_000)
        if not isinstance(self.group_duplicates, bool):
            raise UserError(f"group_duplicates is {self.group_duplicates!r}; give true or false.")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "SplitConfig":
        """The config `to_json` described; an unknown key raises `UnknownName`."""
        if not isinstance(content, dict):
            raise UserError(f"A split is described by an object, not by {str(content)[:80]!r}.")
        known = [f.name for f in fields(cls)]
        for key in content:
            if key not in known:
                raise UnknownName("split setting", key, known)
        return cls(**content)


def split_indices(
    dataset: Dataset,
    config: SplitConfig,
    selection: "Selection | None" = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
) -> dict[str, np.ndarray]:
    """Divide `dataset`.

    Args:
        dataset: whose images to divide.
        config: how.
        selection: decisions to drop or relabel, applied to train and validation after the division.
        classes: names to keep (study D removes one); None keeps all.
        limit: at most this many images in train and in validation, classes in proportion, for a quick
            run. Test stays whole, so that its figure means the same.

    Returns:
        `{'train', 'validation', 'test'}`: ascending int64 indices into the data set; no image in two.

    Raises:
        UserError: nothing is left to train or to validate on, or an unknown class.
    """
    kept = _class_labels(classes)
    if limit is not None:
        _check_integer("limit", limit, 1, 10_000_000)
    parts = _divide(dataset, config)
    labels = np.asarray(dataset.labels)
    chosen = labels if selection is None else selection.labels(dataset)
    allowed = np.isin(chosen, kept)
    if selection is not None:
        allowed &= selection.keep_mask(dataset)
    random = np.random.default_rng([config.seed, 2])
    for part in ("train", "validation"):
        parts[part] = parts[part][allowed[parts[part]]]
    if config.per_class is not None:
        parts["train"] = _at_most_per_class(parts["train"], chosen, config.per_class, random)
    if limit is not None:
        for part in ("train", "validation"):
            parts[part] = _at_most(parts[part], chosen, limit, random)
    parts["test"] = parts["test"][np.isin(labels[parts["test"]], kept)]
    for part, verb in (("train", "train on"), ("validation", "validate on")):
        if len(parts[part]) == 0:
            raise UserError(
                f"No image is left to {verb} in data set {dataset.name!r}. Choose a data set with more "
                "training images, a larger validation fraction, fewer dropped images or more classes."
            )
    return {part: np.sort(indices).astype(np.int64) for part, indices in parts.items()}


def duplicate_groups(hashes: np.ndarray) -> np.ndarray:
    """(N,) int64 group number of each image; pixel-identical images share one."""
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def _divide(dataset: Dataset, config: SplitConfig) -> dict[str, np.ndarray]:
    """Train, validation and test before selection, classes and limits."""
    train, validation, test = (dataset.indices(name) for name in ("train", "validation", "test"))
    if config.scheme == "release" and len(validation):
        if config.group_duplicates:  # the published validation stays whole; its copies leave train
            train = train[~np.isin(dataset.hashes[train], dataset.hashes[validation])]
        return {"train": train, "validation": validation, "test": test}
    pool = np.sort(np.concatenate([train, validation]))
    if len(pool) == 0:
        raise UserError(
            f"Data set {dataset.name!r} has no training images; it can be evaluated on, not trained on."
        )
    labels = dataset.labels[pool].astype(np.int64)
    groups = duplicate_groups(dataset.hashes[pool]) if config.group_duplicates else np.arange(len(pool))
    quotas = _quotas(config, np.bincount(labels, minlength=len(EMOTIONS)))
    side = _deal(labels, groups, quotas, np.random.default_rng([config.seed, 1]))
    if config.scheme == "64/16/20":
        return {name: pool[side == n] for n, name in enumerate(("train", "validation", "test"))}
    held_out = config.fold if config.scheme == "kfold" else 1
    return {"train": pool[side != held_out], "validation": pool[side == held_out], "test": test}


def _quotas(config: SplitConfig, counts: np.ndarray) -> np.ndarray:
    """(sides, 7) int64: how many images of each class go to each side; columns add up to `counts`."""
    if config.scheme == "release":
        validation = np.array([int(n * config.validation_fraction) for n in counts])
        return np.stack([counts - validation, validation])
    if config.scheme == "64/16/20":
        test = _proportional(counts, ceil(counts.sum() * 0.2))
        validation = _proportional(counts - test, ceil((counts - test).sum() * 0.2))
        return np.stack([counts - test - validation, validation, test])
    quotas = np.repeat(counts[None] // config.folds, config.folds, axis=0)
    position = 0
    for label, rest in enumerate(counts % config.folds):  # rests go round, so fold sizes differ by one
        quotas[(position + np.arange(rest)) % config.folds, label] += 1
        position += rest
    return quotas


def _proportional(counts: np.ndarray, total: int) -> np.ndarray:
    """Integers that add up to `total` in proportion to `counts` (largest remainders)."""
    exact = counts * (total / counts.sum())
    result = np.floor(exact).astype(np.int64)
    for label in np.argsort(result - exact, kind="stable")[: total - result.sum()]:
        result[label] += 1
    return result


def _deal(
    labels: np.ndarray, groups: np.ndarray, quotas: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """(N,) side of each image: groups stay whole, and each side gets its quota of each class.

    Groups of several images go first, each to a random side that still has room for all of it, with
    odds by size; single images fill the rest exactly. A group that fits nowhere (only when copies
    outnumber single images) goes where it overflows least.
    """
    side = np.empty(len(labels), dtype=np.int64)
    room = quotas.astype(np.int64).copy()
    share = quotas.sum(axis=1) / quotas.sum()
    sizes = np.bincount(groups)
    repeated = np.flatnonzero(sizes > 1)
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for group in random.permutation(repeated):
        members = order[starts[group] : starts[group + 1]]
        need = np.bincount(labels[members], minlength=room.shape[1])
        missing = np.maximum(need - room, 0).sum(axis=1)
        odds = np.where(missing == missing.min(), share, 0)
        to = int(random.choice(len(share), p=odds / odds.sum()))
        side[members] = to
        room[to] -= need
    single = sizes[groups] == 1
    for label in range(room.shape[1]):
        members = random.permutation(np.flatnonzero(single & (labels == label)))
        sides = np.repeat(np.arange(len(share)), np.maximum(room[:, label], 0))
        side[members] = sides[: len(members)]  # longer only where a group overflowed a side
    return side


def _at_most_per_class(
    indices: np.ndarray, labels: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """At most `count` random images of each class."""
    shuffled = random.permutation(indices)
    return np.concatenate([shuffled[labels[shuffled] == label][:count] for label in range(len(EMOTIONS))])


def _at_most(indices: np.ndarray, labels: np.ndarray, total: int, random: np.random.Generator) -> np.ndarray:
    """At most `total` random images, classes in proportion."""
    if len(indices) <= total:
        return indices
    quota = _proportional(np.bincount(labels[indices], minlength=len(EMOTIONS)), total)
    shuffled = random.permutation(indices)
    return np.concatenate([shuffled[labels[shuffled] == label][:n] for label, n in enumerate(quota)])


def _class_labels(classes: Sequence[str] | None) -> np.ndarray:
    if classes is None:
        return np.arange(len(EMOTIONS))
    for name in classes:
        if name not in EMOTIONS:
            raise UnknownName("class", name, EMOTIONS)
    if len(set(classes)) < 2:
        raise UserError(f"{len(set(classes))} class is left; keep at least 2 of the 7.")
    return np.array(sorted(EMOTIONS.index(name) for name in set(classes)))


def _check_integer(what: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"The {what} is {repr(value)[:80]}; give a whole number from {low} to {high:,}.")
