"""The exact audit: flat images, pixel-identical groups, leaks across splits, conflicting labels.

"Pixel-identical" is equality of the stored hashes, so the whole audit takes a fraction of a second on
FER-2013 and is still cached. Similar but not identical images are in `near_duplicates`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import SPLITS, Dataset
from fer.data.splits import duplicate_groups

VERSION = 1
TEST = SPLITS.index("test")


@dataclass(frozen=True)
class Group:
    """Images that are copies of each other.

    Attributes:
        number: position in the list of groups, from 0.
        members: ascending indices into the data set, at least two.
        crosses: whether they are in more than one split.
        leaks: whether a test image and a training or validation image are among them.
        conflicts: whether they carry more than one label.
    """

    number: int
    members: tuple[int, ...]
    crosses: bool
    leaks: bool
    conflicts: bool


def audit(dataset: Dataset) -> dict[str, Any]:
    """The counts of the Data page and `fer audit`, cached under the fingerprint.

    Returns:
        `images`; `missing_pixels` (pixels are stored as whole numbers, so what lacks some was quarantined
        at import); `constant`, images of one flat colour; `duplicate_groups` and `duplicate_images`, the
        pixel-identical ones; `leaking_groups`, groups in more than one split; `leaked_test_images`, test
        images identical to a training or validation image; `conflicting_groups`, groups with more than
        one label; `leaked_training_images`, the other side of the leaks; `quarantined` at import.
    """
    path = dataset.derived("audit.json")
    if path.exists():
        stored = storage.read_json(path)
        if stored.pop("version") == VERSION:
            return stored
    groups = exact_groups(dataset)
    result = {
        "images": len(dataset),
        "missing_pixels": 0,
        "constant": len(constant_images(dataset)),
        "duplicate_groups": len(groups),
        "duplicate_images": sum(len(group.members) for group in groups),
        "leaking_groups": sum(group.crosses for group in groups),
        "leaked_test_images": len(leaked_test_images(dataset)),
        "leaked_training_images": len(leaked_training_images(dataset)),
        "conflicting_groups": sum(group.conflicts for group in groups),
        "quarantined": len(dataset.meta.get("quarantined", [])),
    }
    storage.write_json(path, result | {"version": VERSION})
    return result


def constant_images(dataset: Dataset) -> np.ndarray:
    """(M,) int64 indices of images of one flat colour."""
    found = []
    for start in range(0, len(dataset), 4096):
        pixels = np.asarray(dataset.images[start : start + 4096]).reshape(-1, dataset.images[0].size)
        found.append(start + np.flatnonzero((pixels == pixels[:, :1]).all(axis=1)))
    return np.concatenate(found).astype(np.int64)


def exact_groups(dataset: Dataset) -> list[Group]:
    """Every group of at least two pixel-identical images, in the order of their first member."""
    return make_groups(dataset, duplicate_groups(dataset.hashes))


def make_groups(dataset: Dataset, group_of: np.ndarray) -> list[Group]:
    """Groups of at least two images from the (N,) group number of each image."""
    order = np.argsort(group_of, kind="stable")
    edges = np.flatnonzero(np.diff(group_of[order])) + 1
    several = [members for members in np.split(order, edges) if len(members) > 1]
    several.sort(key=lambda members: int(members[0]))
    return [_group(dataset, number, members) for number, members in enumerate(several)]


def leaked_test_images(dataset: Dataset) -> np.ndarray:
    """(M,) int64 indices of test images identical to a training or validation image."""
    test = dataset.indices("test")
    return test[leaked_test_mask(dataset, dataset.hashes[dataset.splits != TEST])]


def leaked_training_images(dataset: Dataset) -> np.ndarray:
    """(M,) int64 indices of training and validation images identical to a test image."""
    used = np.flatnonzero(dataset.splits != TEST)
    return used[np.isin(dataset.hashes[used], dataset.hashes[dataset.indices("test")])]


def conflicting_images(dataset: Dataset) -> np.ndarray:
    """(M,) int64 indices of images whose identical copies carry another label."""
    members = [group.members for group in exact_groups(dataset) if group.conflicts]
    return np.array(sorted(index for group in members for index in group), dtype=np.int64)


def leaked_test_mask(
    dataset: Dataset, training_hashes: np.ndarray, indices: np.ndarray | None = None
) -> np.ndarray:
    """(M,) bool: which images are identical to one that was trained or validated on.

    Args:
        dataset: the data set evaluated on; it need not be the one trained on.
        training_hashes: (K,) `V16` pixel hashes a run kept (`hashes.npy`).
        indices: images asked about; all test images by default.
    """
    asked = dataset.indices("test") if indices is None else np.asarray(indices)
    return np.isin(dataset.hashes[asked], np.asarray(training_hashes, dtype="V16"))


def _group(dataset: Dataset, number: int, members: np.ndarray) -> Group:
    splits = {int(split) for split in dataset.splits[members]}
    return Group(
        number=number,
        members=tuple(int(index) for index in members),
        crosses=len(splits) > 1,
        leaks=TEST in splits and len(splits) > 1,
        conflicts=len({int(label) for label in dataset.labels[members]}) > 1,
    )
