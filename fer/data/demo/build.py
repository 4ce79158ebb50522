"""The demo data set: a plan, drawn, imported like any other data set, with every factor kept beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import SPLITS, Dataset, list_datasets, open_dataset, pixel_hashes, save_dataset
from fer.data.demo.outliers import OUTLIER_KINDS, draw_outliers
from fer.data.demo.parallel import draw_many
from fer.data.demo.plan import Plan, make_plan
from fer.emotions import EMOTIONS
from fer.errors import UserError

VERSION = 10  # of the drawing: raise it when the same seed draws other pixels
NAME = "Demo faces"
FACTORS_FILE = "factors.json"
MINIMUM, MAXIMUM = 140, 100_000
Progress = Callable[[float, str], None]


def demo_dataset(progress: Progress | None = None, seed: int = 0, count: int = 3500) -> Dataset:
    """Draw the demo faces and import them as `Demo faces`; drawn before, they are opened again.

    `meta["source"]` is `demo`; `meta["demo"]` holds seed, count and the planted numbers; every image's
    factors (emotion, intensity, units, pose, light, noise, watermark, occlusion, outlier, duplicate group,
    identity) are read by `demo_factors`.

    Raises:
        UserError: `count` is out of range.
    """
    recipe = {"version": VERSION, "seed": seed, "count": count}
    for info in list_datasets():
        drawn = info.meta.get("demo", {})
        if all(drawn.get(key) == value for key, value in recipe.items()):
            dataset = open_dataset(info.fingerprint)
            if (dataset.directory / FACTORS_FILE).exists():
                return dataset
    images, labels, splits, names, factors, planted = draw_demo(progress, seed, count)
    meta = {"source": "demo", "quarantined": [], "demo": recipe | planted}
    dataset = save_dataset(NAME, images, labels, splits, names, meta)
    path = dataset.directory / FACTORS_FILE
    if not path.exists():
        storage.write_json(path, factors)
    return dataset


def demo_factors(dataset: Dataset) -> list[dict[str, Any]]:
    """Each image's factors in the order of the data set.

    Raises:
        UserError: the data set was not drawn here.
    """
    path = dataset.directory / FACTORS_FILE
    if not path.exists():
        raise UserError(f"{dataset.name!r} has no record of how it was drawn; only the demo faces have one.")
    return list(storage.read_json(path))


def draw_demo(
    progress: Progress | None = None, seed: int = 0, count: int = 3500
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], list[dict[str, Any]], dict[str, int]]:
    """Images (N, 48, 48) uint8, labels, splits, names, factors and planted numbers, nothing stored."""
    if not MINIMUM <= count <= MAXIMUM:
        raise UserError(f"{count} demo faces cannot be drawn; ask for {MINIMUM} to {MAXIMUM}.")
    plan = make_plan(count, seed)
    images, factors = _draw(plan, seed, progress)
    names = _names(plan, seed)
    for index, (name, record) in enumerate(zip(names, factors, strict=True)):
        record |= {
            "name": name,
            "label": EMOTIONS[plan.labels[index]],
            "duplicate_group": int(plan.group[index]),
        }
    return images, plan.labels, plan.splits, names, factors, planted_numbers(images, plan)


def planted_numbers(images: np.ndarray, plan: Plan) -> dict[str, int]:
    """What an audit must find, counted on the pixels themselves."""
    hashes = pixel_hashes(images)
    _, inverse, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    groups = np.flatnonzero(sizes > 1)
    members = {int(g): np.flatnonzero(inverse == g) for g in groups}
    crossing = [m for m in members.values() if len(set(plan.splits[m].tolist())) > 1]
    return {
        "outliers": sum(1 for kind in plan.outliers if kind),
        "constant": sum(1 for kind in plan.outliers if kind == "flat"),
        "duplicate_groups": len(groups),
        "duplicate_images": int(sizes[groups].sum()),
        "leaking_groups": len(crossing),
        "leaked_test_images": sum(int((plan.splits[m] == SPLITS.index("test")).sum()) for m in crossing),
        "conflicting_groups": sum(1 for m in members.values() if len(set(plan.labels[m].tolist())) > 1),
    }


def _draw(plan: Plan, seed: int, progress: Progress | None) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Each original once, then the copies, then the outliers in their places."""
    count = len(plan.labels)
    originals = np.unique(plan.source)

    def report(drawn: int) -> None:
        if progress:
            progress(0.98 * drawn / len(originals), f"Drawing demo faces: {drawn:,} of {len(originals):,}")

    drawn, records = draw_many(plan.labels[originals].tolist(), originals.tolist(), seed, count // 3, report)
    place = np.searchsorted(originals, plan.source)
    images, factors = drawn[place], [dict(records[position]) for position in place]
    for kind in OUTLIER_KINDS:
        places = [index for index, planted in enumerate(plan.outliers) if planted == kind]
        images[places] = draw_outliers(kind, len(places), seed)
        for index in places:
            factors[index]["outlier"] = kind
    return images, factors


def _names(plan: Plan, seed: int) -> list[str]:
    """Names as in the release: `train/<class>/Training_<n>.png`, `PublicTest_`, `PrivateTest_`."""
    rng = np.random.default_rng([seed, 6])
    numbers = rng.choice(np.arange(10_000, 99_999_999), len(plan.labels), replace=False)
    halves = rng.permutation(np.flatnonzero(plan.splits == SPLITS.index("test")))
    private = set(halves[: len(halves) // 2].tolist())
    names = []
    for index, label in enumerate(plan.labels):
        split = SPLITS[plan.splits[index]]
        part = "Training" if split == "train" else "PrivateTest" if index in private else "PublicTest"
        names.append(f"{split}/{EMOTIONS[label]}/{part}_{numbers[index]}.png")
    return names
