"""What the demo data set consists of: classes, splits, planted outliers, duplicates and conflicts.

Proportions are FER-2013's. Its class counts, but happy takes 23.5 % instead of 25.1 %, so that a
classifier that knows nothing and always answers happy stays below 25 %. Of its 35,887 images 3,369 lie in 1,516 groups of identical
ones, 531 groups cross train and test and 57 carry two labels (measured for this project).
"""

from dataclasses import dataclass

import numpy as np

from fer.emotions import EMOTIONS

FER_TRAIN = (3995, 436, 4097, 7215, 4965, 4830, 3171)
FER_TEST = (958, 111, 1024, 1774, 1233, 1247, 831)
FER_IMAGES = 35_887
FER_GROUPS, FER_CROSSING, FER_CONFLICTING, FER_FLAT = 1_516, 531, 57, 13
OUTLIER_SHARE = 0.016
LARGEST_SHARE = 0.235


@dataclass(frozen=True)
class Plan:
    """Labels and splits of every image, and which images repeat which.

    labels: (N,) index into `EMOTIONS`; splits: (N,) 0 train, 2 test; source: (N,) the image whose pixels this
    one shows (itself unless it is a copy); group: (N,) number of its duplicate group or -1;
    outliers: (N,) name of the kind or ''.
    """

    labels: np.ndarray
    splits: np.ndarray
    source: np.ndarray
    group: np.ndarray
    outliers: list[str]


def class_counts(total: int, proportions: tuple[int, ...]) -> np.ndarray:
    """(K,) whole numbers that add up to `total`, each class at least once: largest remainders.

    The largest class is held to `LARGEST_SHARE`, the others keep their proportions to each other.
    """
    shares = np.array(proportions) / sum(proportions)
    largest = int(shares.argmax())
    shares *= (1 - LARGEST_SHARE) / (1 - shares[largest])
    shares[largest] = LARGEST_SHARE
    exact = shares * total
    counts = np.maximum(np.floor(exact).astype(int), 1)
    order = np.argsort(-(exact - np.floor(exact)), kind="stable")
    for position in range(total - counts.sum()):
        counts[order[position % len(order)]] += 1
    return counts


def make_plan(count: int, seed: int) -> Plan:
    """The plan for `count` images; the same count and seed give the same plan."""
    rng = np.random.default_rng([seed, 5])
    test = round(count * sum(FER_TEST) / FER_IMAGES)
    labels, splits = [], []
    for code, total, proportions in ((0, count - test, FER_TRAIN), (2, test, FER_TEST)):
        counts = class_counts(total, proportions)
        labels.append(np.repeat(np.arange(len(EMOTIONS)), counts))
        splits.append(np.full(total, code))
    label, split = np.concatenate(labels), np.concatenate(splits)
    source, group = _duplicates(label, split, rng)
    return Plan(label, split, source, group, _outliers(label, group, count, rng))


def _duplicates(
    labels: np.ndarray, splits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make some images copies of others: crossing groups, conflicting groups, the rest inside train."""
    count = len(labels)
    scale = count / FER_IMAGES
    total, crossing, conflicting = (
        max(1, round(n * scale)) for n in (FER_GROUPS, FER_CROSSING, FER_CONFLICTING)
    )
    total = max(total, crossing + 1)
    source, group = np.arange(count), np.full(count, -1)
    for number in range(total):
        crosses, conflicts = (
            number < crossing,
            number % max(total // conflicting, 1) == 0
            and number // max(total // conflicting, 1) < conflicting,
        )
        free = np.flatnonzero((group < 0) & (splits == 0))
        first = int(rng.choice(free))
        size = 2 + int(rng.random() < 0.18)
        members = [first]
        for copy in range(1, size):
            other_label = conflicts and copy == 1
            right = (labels != labels[first]) if other_label else (labels == labels[first])
            place = splits == (2 if crosses and copy == 1 else 0)
            candidates = np.flatnonzero((group < 0) & right & place)
            candidates = candidates[candidates != first]
            if len(candidates):
                members.append(int(rng.choice(candidates)))
        if len(members) > 1:
            group[members] = number
            source[members] = first
    return source, group


def _outliers(labels: np.ndarray, group: np.ndarray, count: int, rng: np.random.Generator) -> list[str]:
    """Spread the kinds over images that are nobody's copy, alike for all classes but the rarest."""
    from fer.data.demo.outliers import OUTLIER_KINDS

    kinds = [""] * count
    free = np.flatnonzero((group < 0) & (labels != EMOTIONS.index("disgust")))
    chosen = rng.choice(
        free, min(len(free), max(len(OUTLIER_KINDS) + 2, round(count * OUTLIER_SHARE))), replace=False
    )
    flat = max(3, round(count * FER_FLAT / FER_IMAGES))
    others = OUTLIER_KINDS[1:]
    for position, index in enumerate(chosen):
        kinds[int(index)] = "flat" if position < flat else others[position % len(others)]
    return kinds
