"""What the demo data set consists of: classes, splits, planted outliers, duplicates and conflicts.

Proportions are FER-2013's. Its class counts, but happy takes 23.5 % instead of 25.1 %, so that a
classifier that knows nothing and always answers happy stays below 25 %. Of its 35,887 images 3,369 lie in
1,516 groups of identical ones, 531 groups cross train and test, 57 carry two labels and 13 images are flat.
"""

from dataclasses import dataclass

import numpy as np

from fer.data.demo.outliers import OUTLIER_KINDS
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
    return Plan(label, split, source, group, _outliers(label, group, rng))


def _duplicates(
    labels: np.ndarray, splits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make some images copies of others: (N,) whose pixels each shows, and (N,) its group's number or -1.

    The first groups cross from train to test, the rest stay in train; conflicting ones, spread evenly over
    both, have a second member with another label. About one group in six has a third member, in train.
    """
    count = len(labels)
    total, crossing, conflicting = planted_groups(count)
    conflicts = set(np.linspace(0, total - 1, conflicting).astype(int).tolist())
    source, group = np.arange(count), np.full(count, -1)
    for number in range(total):
        first = int(rng.choice(np.flatnonzero((group < 0) & (splits == 0))))
        group[first] = number
        for copy in range(1, 2 + int(rng.random() < 0.18)):
            second = copy == 1
            place = splits == (2 if second and number < crossing else 0)
            same = labels == labels[first]
            fits = ~same if second and number in conflicts else same
            candidates = np.flatnonzero((group < 0) & place & fits)
            if len(candidates):
                chosen = int(rng.choice(candidates))
                group[chosen], source[chosen] = number, first
    return source, group


def planted_groups(count: int) -> tuple[int, int, int]:
    """How many groups of identical images: all, those crossing train and test, those with two labels."""
    scale = count / FER_IMAGES
    total, crossing, conflicting = (
        max(2, round(number * scale)) for number in (FER_GROUPS, FER_CROSSING, FER_CONFLICTING)
    )
    return max(total, crossing + 2), crossing, conflicting


def _outliers(labels: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Spread the kinds over images that are nobody's copy, alike for all classes but the rarest."""
    count = len(labels)
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
