"""Accepted samples as a set of generated faces: extra training images, and never anything else.

`cache/generated/<name>/<version>.npz` holds a whole set; each change writes the next version, so a run that
names `<name>@<version>` can be repeated. Generated sets are kept apart from the data sets: no page lists
them among real faces, no split can draw from them and nothing can be evaluated on them. A training names one
in its setting `generated`; then its images follow the training images (`fer.training.data`).
"""

import json
import re
import time
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from fer import storage
from fer.data.dataset import check_name, pixel_hashes
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    from fer.runs import Run

FORMAT = 1
MARK = "generated"


@dataclass(frozen=True)
class GeneratedSet:
    """Generated faces that were accepted.

    Attributes:
        name, version: `reference` joins them.
        dataset: fingerprint of the data set the generators learned from; split: their division of it.
            Only a training with the same two may use the set: what validates it, they have not seen.
        images: (N, 48, 48) uint8. labels: (N,) uint8, index into `EMOTIONS`: the class asked for.
        origins: N records `{run, seed, number, steps, guidance, method}`, which draw the face again.
    """

    name: str
    version: int
    dataset: str
    split: SplitConfig
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    origins: list[dict[str, Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def reference(self) -> str:
        """`name@version`, which opens exactly this."""
        return f"{self.name}@{self.version}"

    def counts(self) -> dict[str, int]:
        """`{class: faces}` of the classes it has."""
        found = np.bincount(self.labels, minlength=len(EMOTIONS))
        return {emotion: int(n) for emotion, n in zip(EMOTIONS, found, strict=True) if n}

    def chosen(self, per_class: int | None) -> np.ndarray:
        """(M,) positions: the first `per_class` of each class, None for all."""
        if per_class is None:
            return np.arange(len(self))
        parts = [np.flatnonzero(self.labels == n)[:per_class] for n in range(len(EMOTIONS))]
        return np.sort(np.concatenate(parts))


def list_sets() -> list[GeneratedSet]:
    """The latest version of every set, by name."""
    if not _root().is_dir():
        return []
    names = sorted(folder.name for folder in _root().iterdir() if folder.is_dir())
    return [open_set(name) for name in names if _versions(name)]


def open_set(reference: str) -> GeneratedSet:
    """The set `name` in its latest version, or `name@version`.

    Raises:
        UnknownName: there is no such set or version.
        UserError: its file is damaged.
    """
    name, at, number = str(reference).partition("@")
    known = _versions(name) if re.fullmatch(r"[\w .-]+", name) else []
    if not known:
        raise UnknownName("set of generated faces", name, [s.name for s in list_sets()])
    if at and (not number.isdigit() or int(number) not in known):
        raise UnknownName(f"version of {name!r}", number, [str(n) for n in known])
    return _read(name, int(number) if at else known[-1])


def accept(
    name: str, run: "Run", images: np.ndarray, classes: list[str], origins: list[dict[str, Any]]
) -> GeneratedSet:
    """Add samples of a diffusion run to a set, which is made if there is none; pixel-identical ones once.

    images: (N, 48, 48) uint8. classes: N names asked for. origins: N records, `run` is added.

    Raises:
        UserError: shapes that do not fit, a name that cannot be used, or a set of another data set or split.
    """
    from fer.generation.config import DiffusionConfig

    check_name(name)
    images = np.asarray(images)
    if (
        images.shape != (len(classes), IMAGE_SIZE, IMAGE_SIZE)
        or len(origins) != len(classes)
        or not len(classes)
    ):
        raise UserError(
            f"{images.shape} images, {len(classes)} classes, {len(origins)} origins: not the same."
        )
    config = DiffusionConfig.from_json(run.config)
    labels = np.array([EMOTIONS.index(emotion) for emotion in classes], dtype=np.uint8)
    origins = [{**origin, "run": run.id} for origin in origins]
    with _writing():
        if _versions(name):
            old = open_set(name)
            if (old.dataset, old.split) != (config.dataset, config.split):
                raise UserError(
                    f"The set {name!r} holds faces of a generator of another data set or split. "
                    "Choose another name."
                )
            new = ~np.isin(pixel_hashes(images), pixel_hashes(old.images))
            images = np.concatenate([old.images, images[new]])
            labels = np.concatenate([old.labels, labels[new]])
            origins = [*old.origins, *(o for o, fresh in zip(origins, new, strict=True) if fresh)]
            found = replace(old, version=old.version + 1, images=images, labels=labels, origins=origins)
        else:
            found = GeneratedSet(
                name, 1, config.dataset, config.split, images.astype(np.uint8), labels, origins
            )
        _write(found)
    return found


def reject(name: str, positions: list[int]) -> GeneratedSet:
    """Take faces out of a set by their positions in the latest version; the last one stays."""
    with _writing():
        old = open_set(name)
        kept = np.setdiff1d(np.arange(len(old)), positions)
        if not len(kept):
            raise UserError(f"The set {name!r} would be empty; leave one face, or train without the set.")
        origins = [old.origins[n] for n in kept]
        found = replace(
            old, version=old.version + 1, images=old.images[kept], labels=old.labels[kept], origins=origins
        )
        _write(found)
    return found


def _root() -> Path:
    return storage.cache_directory() / "generated"


def _writing() -> FileLock:
    _root().mkdir(parents=True, exist_ok=True)
    return FileLock(_root() / ".lock", timeout=60)


def _versions(name: str) -> list[int]:
    folder = _root() / name
    return sorted(int(path.stem) for path in folder.glob("*.npz") if path.stem.isdigit())


def _write(found: GeneratedSet) -> None:
    facts = {
        "format": FORMAT,
        "kind": MARK,
        "dataset": found.dataset,
        "split": found.split.to_json(),
        "origins": found.origins,
        "written": time.time(),
    }
    text = np.frombuffer(json.dumps(facts).encode("utf-8"), dtype=np.uint8)
    with storage.replacing(_root() / found.name / f"{found.version}.npz") as path:
        np.savez_compressed(path, images=found.images, labels=found.labels, facts=text)


def _read(name: str, version: int) -> GeneratedSet:
    path = _root() / name / f"{version}.npz"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            images, labels, text = stored["images"], stored["labels"], stored["facts"].tobytes()
        facts = json.loads(text.decode("utf-8"))
        if facts["format"] != FORMAT or facts["kind"] != MARK:
            raise ValueError("it has another format")
        split = SplitConfig.from_json(facts["split"])
        return GeneratedSet(name, version, facts["dataset"], split, images, labels, facts["origins"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"The set of generated faces {path} is damaged ({error}). Accept samples anew."
        ) from error
