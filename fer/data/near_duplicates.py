"""Images that look alike without being pixel-identical: perceptual hashes and their Hamming distance.

The hash is ImageHash's `phash` (Zauner 2010, "Implementation and benchmarking of perceptual image hash
functions"): the signs of 64 low frequencies of the cosine transform about their median. Distances between
two hashes are even; on FER-2013 up to 6 is the same photograph, from 8 on merely similar ones join.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fer import storage
from fer.data.audit import Group, constant_images, make_groups
from fer.data.dataset import Dataset, open_dataset
from fer.data.splits import duplicate_groups
from fer.errors import UserError

VERSION = 1
MAX_DISTANCE = 10
DEFAULT_DISTANCE = 4
_CHUNK = 256

Progress = Callable[[float, str], None]


def near_pairs(
    dataset: Dataset, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None
) -> dict[str, np.ndarray] | None:
    """All pairs of different images at most `MAX_DISTANCE` apart, computed once per data set.

    Identical images are represented by the first of them, and flat ones left out (they have no
    frequencies to compare).

    Returns:
        `first`, `second`: (P,) int64 indices, first < second; `distance`: (P,) uint8, 0 to
        `MAX_DISTANCE`. None when it was stopped.
    """
    path = _path(dataset)
    if path.exists():
        with np.load(path) as stored:
            return dict(stored)
    report = progress or (lambda fraction, text: None)
    stopped = should_stop or (lambda: False)
    candidates = _representatives(dataset)
    hashes = _hashes(dataset, candidates, report, stopped)
    pairs = None if hashes is None else _pairs(hashes, report, stopped)
    if pairs is None:
        return None
    result = {
        "first": candidates[pairs[0]],
        "second": candidates[pairs[1]],
        "distance": pairs[2].astype(np.uint8),
    }
    with storage.replacing(path) as temporary:
        np.savez(temporary, **result)
    return result


def stored_pairs(dataset: Dataset) -> dict[str, np.ndarray] | None:
    """The pairs if they were computed before, else None; never computes."""
    return near_pairs(dataset) if _path(dataset).exists() else None


def near_groups(dataset: Dataset, distance: int = DEFAULT_DISTANCE) -> list[Group]:
    """Groups in which every image is at most `distance` from one of them, the hub.

    Stars, not chains: at distance 10 linking neighbours of neighbours would join 4,400 images of
    FER-2013. The image with the most neighbours becomes the first hub. Identical copies follow the image
    that represents them; groups of identical images alone are left to the exact audit.

    Raises:
        UserError: `distance` is out of range, or the pairs have not been computed.
    """
    if isinstance(distance, bool) or not isinstance(distance, int) or not 0 <= distance <= MAX_DISTANCE:
        raise UserError(f"The distance is {distance!r}; give a whole number from 0 to {MAX_DISTANCE}.")
    pairs = stored_pairs(dataset)
    if pairs is None:
        raise UserError(
            f"Near duplicates of {dataset.name!r} have not been searched yet; start the search first."
        )
    hub_of = _stars(pairs, distance)
    representative = _first_of_identical(dataset)
    joined = np.isin(representative, np.fromiter(hub_of, dtype=np.int64, count=len(hub_of)))
    group_of = np.arange(len(dataset))
    group_of[joined] = [hub_of[int(first)] for first in representative[joined]]
    return make_groups(dataset, group_of)


def near_summary(dataset: Dataset, distance: int = DEFAULT_DISTANCE) -> dict[str, int]:
    """Counts of `near_groups` under the names of the exact audit."""
    groups = near_groups(dataset, distance)
    test = set(dataset.indices("test").tolist())
    return {
        "distance": distance,
        "groups": len(groups),
        "images": sum(len(group.members) for group in groups),
        "leaking_groups": sum(group.crosses for group in groups),
        "leaked_test_images": sum(
            index in test for group in groups if group.leaks for index in group.members
        ),
        "conflicting_groups": sum(group.conflicts for group in groups),
    }


def run(
    config: dict[str, Any], directory: Path, progress: Progress, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """The search as a background run: `config` names the `dataset`."""
    dataset = open_dataset(config["dataset"])
    if near_pairs(dataset, progress, should_stop) is None:
        return {"stopped": True, "metrics": {}}
    return {"stopped": False, "metrics": near_summary(dataset)}


def _stars(pairs: dict[str, np.ndarray], distance: int) -> dict[int, int]:
    """`{image: hub}` for every image in a star, hubs included."""
    close = pairs["distance"] <= distance
    neighbours: dict[int, list[int]] = {}
    for a, b in zip(pairs["first"][close].tolist(), pairs["second"][close].tolist(), strict=True):
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    hub_of: dict[int, int] = {}
    for image in sorted(neighbours, key=lambda image: (-len(neighbours[image]), image)):
        free = [other for other in neighbours[image] if other not in hub_of]
        if image not in hub_of and free:
            hub_of |= dict.fromkeys([image, *free], image)
    return hub_of


def _representatives(dataset: Dataset) -> np.ndarray:
    """(M,) ascending indices: one image of each identical group, without flat ones."""
    return np.setdiff1d(np.unique(_first_of_identical(dataset)), constant_images(dataset))


def _first_of_identical(dataset: Dataset) -> np.ndarray:
    """(N,) index of the first image identical to each image, itself included."""
    groups = duplicate_groups(dataset.hashes)
    return np.unique(groups, return_index=True)[1][groups]


def _hashes(
    dataset: Dataset, indices: np.ndarray, progress: Progress, stopped: Callable[[], bool]
) -> np.ndarray | None:
    """(M,) uint64 perceptual hashes; None when stopped."""
    chunks = [indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK)]
    hashes: list[np.ndarray] = []
    pool = ThreadPoolExecutor(2)
    try:
        for chunk in pool.map(lambda chunk: _phash(dataset.images[chunk]), chunks):
            hashes.append(chunk)
            if stopped():
                return None
            done = min(len(indices), len(hashes) * _CHUNK)
            progress(0.8 * done / len(indices), f"Hashed {done:,} of {len(indices):,} images")
    finally:
        pool.shutdown(cancel_futures=True)
    return np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)


def _phash(images: np.ndarray) -> np.ndarray:
    import imagehash
    from PIL import Image

    bits = [imagehash.phash(Image.fromarray(image)).hash.ravel() for image in images]
    return np.packbits(np.stack(bits), axis=1).view(np.uint64).ravel()


def _pairs(
    hashes: np.ndarray, progress: Progress, stopped: Callable[[], bool]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(first, second, distance) of all close pairs of hashes; None when stopped."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, len(hashes), _CHUNK):
        if stopped():
            return None
        distances = np.bitwise_count(hashes[start : start + _CHUNK, None] ^ hashes[None, start:])
        first, second = np.nonzero(distances <= MAX_DISTANCE)
        later = second > first
        first, second = first[later], second[later]
        found.append((first + start, second + start, distances[first, second]))
        done = min(len(hashes), start + _CHUNK)
        progress(0.8 + 0.2 * done / len(hashes), f"Compared {done:,} of {len(hashes):,} images")
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8)
    first, second, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    return first, second, distance


def _path(dataset: Dataset) -> Path:
    return dataset.derived(f"near-duplicates-{VERSION}.npz")
