"""One imported data set: arrays decoded once, opened in milliseconds, named by their content.

`cache/datasets/<fingerprint>/` holds `images.npy`, `labels.npy`, `splits.npy`, `hashes.npy`,
`names.json`, `meta.json` and, for what has an entry per image, `details.json` (so that listing the data
sets reads little). Everything derived from a data set is stored under its fingerprint.

Whoever writes or deletes holds `datasets/.lock`, which the system releases when a process dies; so a
staging folder found while holding it belongs to nobody, and is removed.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from filelock import FileLock, Timeout

from fer import storage
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UnknownName, UserError

SPLITS: tuple[str, ...] = ("train", "validation", "test")
PARTS: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest")
FORMAT_VERSION = 1
DETAILS_BYTES = 20_000  # an entry of meta longer than this as JSON goes to details.json
_TEXTS = 10_000  # names hashed at a time
_IN_USE: WeakValueDictionary[tuple[Any, ...], "Dataset"] = WeakValueDictionary()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")


@dataclass(frozen=True)
class Dataset:
    """Images with labels and splits.

    Attributes:
        fingerprint: 16 hexadecimal digits of a SHA-256 over pixels, labels, splits and names.
        name: what the user calls it.
        images: (N, 48, 48) uint8, memory-mapped and read-only.
        labels: (N,) uint8, index into `EMOTIONS`, read-only like `splits` and `hashes`.
        splits: (N,) uint8, index into `SPLITS`.
        names: N names, `<split>/<class>/<file>` for folders, `row <n>` for a csv.
        hashes: (N,) `V16`, BLAKE2b of the pixels: equal exactly when the images are pixel-identical.
        meta: source, import time, quarantined entries and whatever the importer recorded.
        directory: where it is stored.
    """

    fingerprint: str
    name: str
    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: list[str]
    hashes: np.ndarray
    meta: dict[str, Any] = field(repr=False, default_factory=dict)
    directory: Path = field(repr=False, default=Path())

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, split: str) -> np.ndarray:
        """(M,) int64 indices, ascending, of a split or of a finer part (`PublicTest`, …)."""
        if split in SPLITS:
            return np.flatnonzero(self.splits == SPLITS.index(split))
        if split in PARTS:
            return np.flatnonzero(self.parts == split)
        raise UnknownName("split", split, [*SPLITS, *PARTS])

    @cached_property
    def parts(self) -> np.ndarray:
        """(N,) str: `Training`, `PublicTest` or `PrivateTest` by file name or csv usage, else ''."""
        usage = self.meta.get("usage")
        keys = usage if usage else [name.rsplit("/", 1)[-1].split("_", 1)[0] for name in self.names]
        return np.array([key if key in PARTS else "" for key in keys])

    def counts(self) -> dict[str, dict[str, int]]:
        """`{split: {class: images}}` for every split that has images."""
        table = {}
        for code, split in enumerate(SPLITS):
            per_class = np.bincount(self.labels[self.splits == code], minlength=len(EMOTIONS))
            if per_class.sum():
                table[split] = {emotion: int(n) for emotion, n in zip(EMOTIONS, per_class, strict=True)}
        return table

    def derived(self, *path: str) -> Path:
        """Where results computed from this data set are stored."""
        return storage.cache_directory() / "derived" / self.fingerprint / Path(*path)


@dataclass(frozen=True)
class DatasetInfo:
    """What a list of data sets shows, without opening the arrays."""

    fingerprint: str
    name: str
    images: int
    counts: dict[str, dict[str, int]]
    source: str
    imported: float
    quarantined: int
    meta: dict[str, Any] = field(repr=False, default_factory=dict)


def datasets_directory() -> Path:
    return storage.cache_directory() / "datasets"


def pixel_hashes(images: np.ndarray) -> np.ndarray:
    """(N,) `V16` BLAKE2b-128 of each (48, 48) uint8 image; equal exactly for identical pixels."""
    digests = bytearray()
    for image in np.ascontiguousarray(images, dtype=np.uint8):
        digests += hashlib.blake2b(image.data, digest_size=16).digest()
    return np.frombuffer(bytes(digests), dtype="V16")


def save_dataset(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    names: list[str],
    meta: dict[str, Any] | None = None,
) -> Dataset:
    """Store arrays as a data set and return it; content that is already stored is returned as it is.

    Args:
        name: 1–60 letters, digits, spaces, dots, dashes or underscores.
        images: (N, 48, 48) uint8.
        labels: (N,) index into `EMOTIONS`.
        splits: (N,) index into `SPLITS`.
        names: N unique names.
        meta: recorded beside the arrays (`source`, `quarantined`, `usage`, …).

    Raises:
        UserError: no images, shapes that do not match, or a name that cannot be used.
    """
    check_name(name)
    images = np.ascontiguousarray(images, dtype=np.uint8)
    labels = np.asarray(labels, dtype=np.uint8)
    splits = np.asarray(splits, dtype=np.uint8)
    _check(images, labels, splits, names)
    meta = {"source": "", "quarantined": []} | dict(meta or {})
    fingerprint = _fingerprint(images, labels, splits, names, meta.get("usage"))
    directory = datasets_directory() / fingerprint
    with writing_datasets():
        if directory in damaged_datasets():
            shutil.rmtree(directory)  # the same content, about to be written whole
        if not directory.exists():
            counts = Dataset("", "", images, labels, splits, names, labels).counts()
            meta |= {
                "format": FORMAT_VERSION,
                "fingerprint": fingerprint,
                "name": _free_name(name),
                "images": len(labels),
                "counts": counts,
                "imported": time.time(),
                "quarantined_count": len(meta["quarantined"]),
            }
            details = {key: value for key, value in meta.items() if _is_long(value)}
            with storage.replacing_directory(directory) as staging:
                _write_array(staging / "images.npy", images)
                _write_array(staging / "labels.npy", labels)
                _write_array(staging / "splits.npy", splits)
                _write_array(staging / "hashes.npy", pixel_hashes(images))
                with open(staging / "names.json", "w", encoding="utf-8") as file:
                    json.dump(names, file)  # piece by piece, not one text of a million names
                (staging / "details.json").write_text(json.dumps(details), encoding="utf-8")
                short = {key: value for key, value in meta.items() if key not in details}
                (staging / "meta.json").write_text(json.dumps(short, indent=1), encoding="utf-8")
    return _opened(_find(fingerprint), names)


@contextmanager
def writing_datasets() -> Iterator[None]:
    """Hold the lock on the store, after removing what killed writers left in it.

    Raises:
        UserError: another process held the lock for five minutes.
    """
    directory = datasets_directory()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / ".lock", timeout=300):
            for leftover in directory.glob(f"{storage.STAGING_PREFIX}*"):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)
            yield
    except Timeout:
        raise UserError(
            "Another process has been writing a data set for five minutes. Wait for it, then try again."
        ) from None


def list_datasets() -> list[DatasetInfo]:
    """Every imported data set, the newest first; folders that are damaged or of another format are skipped.

    `damaged_datasets` lists those.
    """
    found = [info for _, info in _stored() if info is not None]
    return sorted(found, key=lambda info: info.imported, reverse=True)


def damaged_datasets() -> list[Path]:
    """Folders in the store whose meta.json is missing, damaged or of another format."""
    return [folder for folder, info in _stored() if info is None]


def open_dataset(key: str) -> Dataset:
    """Open a data set by fingerprint (or at least six first digits of it) or by name.

    While somebody holds it, everybody gets the same object: its names take megabytes, and it is read-only.

    Raises:
        UnknownName: there is none; the message lists those there are.
        UserError: the key fits several, or a file of the data set is missing or damaged.
    """
    return _opened(_find(key))


def _opened(info: DatasetInfo, names: list[str] | None = None) -> Dataset:
    """The data set; `names` where they are in memory already."""
    directory = datasets_directory() / info.fingerprint
    try:
        state = info.name, *_state(directory)
        dataset = _IN_USE.get(state) or _read(info, directory, names)
    except (OSError, ValueError, EOFError, UserError) as error:
        raise UserError(
            f"Data set {info.name!r} is damaged ({error}). Delete it on the Data page and import it again."
        ) from error
    _IN_USE[state] = dataset
    return dataset


def _read(info: DatasetInfo, directory: Path, names: list[str] | None) -> Dataset:
    dataset = Dataset(
        fingerprint=info.fingerprint,
        name=info.name,
        images=np.load(directory / "images.npy", mmap_mode="r"),
        labels=np.load(directory / "labels.npy"),
        splits=np.load(directory / "splits.npy"),
        names=storage.read_json(directory / "names.json") if names is None else names,
        hashes=np.load(directory / "hashes.npy"),
        meta=info.meta | storage.read_json(directory / "details.json"),
        directory=directory,
    )
    _check(dataset.images, dataset.labels, dataset.splits, dataset.names)
    for array in (dataset.labels, dataset.splits, dataset.hashes):
        array.setflags(write=False)
    return dataset


def _state(directory: Path) -> tuple[Any, ...]:
    """What changes when a file in the folder does: damage, another import, another cache."""
    files = sorted((entry.name, entry.stat()) for entry in os.scandir(directory))
    return directory, *((name, found.st_ino, found.st_size, found.st_mtime_ns) for name, found in files)


def rename_dataset(key: str, name: str) -> None:
    """Give a data set another name; its fingerprint, and so everything derived, stays."""
    check_name(name)
    with writing_datasets():
        info = _find(key)
        if any(other.name == name and other.fingerprint != info.fingerprint for other in list_datasets()):
            raise UserError(f"Another data set is already called {name!r}. Choose another name.")
        path = datasets_directory() / info.fingerprint / "meta.json"
        storage.write_json(path, info.meta | {"name": name})


def delete_dataset(key: str) -> None:
    """Remove a data set and what was derived from it; runs trained on it stay.

    It vanishes in one step: killed on the way, either all of it is there or none.
    """
    with writing_datasets():
        info = _find(key)
        shutil.rmtree(storage.cache_directory() / "derived" / info.fingerprint, ignore_errors=True)
        trash = datasets_directory() / f"{storage.STAGING_PREFIX}{info.fingerprint}"
        (datasets_directory() / info.fingerprint).rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def check_name(name: str) -> str:
    """`name` if it can name a data set, run, selection or preset on every system and in every link.

    Raises:
        UserError: it is empty, too long, or has other characters than letters, digits, `. _ -` and
            spaces, or is a device name of Windows.
    """
    reserved = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
    stem = str(name).split(".", 1)[0].strip().lower()
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.strip(" .") or stem in reserved:
        raise UserError(
            f"The name {str(name)[:80]!r} cannot be used: 1 to 60 letters, digits, spaces, dots, "
            "dashes or underscores, starting with a letter or digit."
        )
    return name


def _stored() -> list[tuple[Path, DatasetInfo | None]]:
    """Every folder of the store with its description, None where that cannot be read."""
    found = []
    for folder in sorted(datasets_directory().glob("*/")):
        if folder.name.startswith("."):
            continue
        try:
            meta = storage.read_json(folder / "meta.json")
            info = _info(meta) if meta["format"] == FORMAT_VERSION else None
        except (OSError, UserError, KeyError, TypeError):
            info = None
        found.append((folder, info))
    return found


def _info(meta: dict[str, Any]) -> DatasetInfo:
    return DatasetInfo(
        fingerprint=meta["fingerprint"],
        name=meta["name"],
        images=meta["images"],
        counts=meta["counts"],
        source=meta["source"],
        imported=meta["imported"],
        quarantined=meta["quarantined_count"],
        meta=meta,
    )


def _find(key: str) -> DatasetInfo:
    datasets = list_datasets()
    exact = [d for d in datasets if key in (d.fingerprint, d.name)]
    matches = exact or [d for d in datasets if len(str(key)) >= 6 and d.fingerprint.startswith(str(key))]
    if not matches:
        raise UnknownName("data set", key, [d.name for d in datasets])
    if len(matches) > 1:
        raise UserError(f"{key!r} fits {len(matches)} data sets; use the fingerprint.")
    return matches[0]


def _free_name(name: str) -> str:
    taken = {info.name for info in list_datasets()}
    candidates = [name, *(f"{name[:56]}-{n}" for n in range(2, 1000))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _fingerprint(
    images: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    names: list[str],
    usage: list[str] | None,
) -> str:
    digest = hashlib.sha256()
    for array in (images, labels, splits):
        digest.update(array.data)
    for texts in (names, usage or []):
        for start in range(0, len(texts), _TEXTS):
            digest.update(("\0" * (start > 0) + "\0".join(texts[start : start + _TEXTS])).encode())
    return digest.hexdigest()[:16]


def _is_long(value: Any) -> bool:
    if not isinstance(value, list | dict):
        return False
    return len(value) > DETAILS_BYTES or len(json.dumps(value)) > DETAILS_BYTES


def _write_array(path: Path, array: np.ndarray) -> None:
    """`np.save`, except that a full disk says so (`ndarray.tofile` raises without an error number)."""
    array = np.ascontiguousarray(array)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.view(np.uint8).data)


def _check(images: np.ndarray, labels: np.ndarray, splits: np.ndarray, names: list[str]) -> None:
    if len(labels) == 0:
        raise UserError("No usable image was found, so there is nothing to import.")
    if images.shape != (len(labels), IMAGE_SIZE, IMAGE_SIZE):
        raise UserError(
            f"Images have shape {images.shape}; expected ({len(labels)}, {IMAGE_SIZE}, {IMAGE_SIZE})."
        )
    if len(splits) != len(labels) or len(names) != len(labels) or not _unique(names):
        raise UserError("Labels, splits and names must be equally many, and names unique.")
    if labels.max() >= len(EMOTIONS) or splits.max() >= len(SPLITS):
        raise UserError("A label or split is out of range.")


def _unique(names: list[str]) -> bool:
    """Sorted, because a set takes as much memory as the names, and they mostly come sorted."""
    ordered = sorted(names)
    return all(one != other for one, other in pairwise(ordered))
