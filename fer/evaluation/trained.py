"""What a run directory says about the network in it, read without TensorFlow.

A run directory is the only protocol between training and evaluation; the starter model that ships with
the program has the same files. Missing or damaged files give a fact of None or a sentence, never a crash:
the Compare page shows broken runs with their reason.
"""

import csv
import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.dataset import Dataset, open_dataset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.storage import cache_directory, read_json

CARD = "model_card.json"  # marks a network that ships with the program: its folder is only read


@dataclass(frozen=True)
class TrainedRun:
    """A run directory, read lazily; every property is computed once.

    Attributes:
        directory: holds `config.json`, `best.keras`, `splits.npz`, `hashes.npy`, …
        name: what the user calls it.
    """

    directory: Path
    name: str = ""

    @property
    def id(self) -> str:
        return "starter" if self.shipped else self.directory.name

    @property
    def model_path(self) -> Path:
        return self.directory / "best.keras"

    @property
    def shipped(self) -> bool:
        """Whether it comes with the program, so that nothing may be written into its folder."""
        return (self.directory / CARD).is_file()

    @property
    def results(self) -> Path:
        """Where predictions, reports, explanations are kept: with the run; a shipped one's in the cache."""
        if not self.shipped:
            return self.directory
        return cache_directory() / "shipped" / f"{self.id}-{self.stamp}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The training configuration as JSON; {} when there is none."""
        content = _json(self.directory / "config.json")
        return content["config"] if isinstance(content.get("config"), dict) else content

    @cached_property
    def environment(self) -> dict[str, Any]:
        return _json(self.directory / "environment.json")

    @cached_property
    def model_facts(self) -> dict[str, Any]:
        return _json(self.directory / "model.json")

    @property
    def fingerprint(self) -> str:
        """Of the data set it was trained on; '' when unknown."""
        return str(self.config.get("dataset") or self.environment.get("dataset") or "")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the output columns, in order; fewer than seven when some were removed."""
        return tuple(self.config.get("classes") or self.model_facts.get("classes") or EMOTIONS)

    @property
    def class_indices(self) -> np.ndarray:
        """(K,) int64 index into `EMOTIONS` of each output column."""
        try:
            return np.array([EMOTIONS.index(name) for name in self.classes])
        except ValueError:
            unknown = next(name for name in self.classes if name not in EMOTIONS)
            raise UnknownName("class", unknown, EMOTIONS) from None

    @cached_property
    def stamp(self) -> str:
        """16 hexadecimal digits that change when the network does.

        From the checksums in the archive's directory: reading them takes a millisecond, and copying the
        file keeps them.

        Raises:
            UserError: there is no network, or its file is damaged.
        """
        if not self.model_path.is_file():
            raise UserError(
                f"Run {self.name or self.id!r} has no trained network yet; let it finish an epoch."
            )
        try:
            with zipfile.ZipFile(self.model_path) as archive:
                members = sorted(
                    f"{m.filename} {m.CRC} {m.file_size}"
                    for m in archive.infolist()
                    if m.filename != "metadata.json"  # holds the time of saving
                )
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise UserError(
                f"The network of run {self.name or self.id!r} is damaged ({error}); "
                "restore it or train again."
            ) from error
        return hashlib.sha256("\n".join(members).encode()).hexdigest()[:16]

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """`{split: int64 indices}` into the run's own data set; {} when the file is missing."""
        path = self.directory / "splits.npz"
        return _splits(path, path.stat().st_mtime_ns) if path.exists() else {}

    @cached_property
    def hashes(self) -> np.ndarray | None:
        """(M,) V16 pixel hashes of every image trained or validated on; None when not recorded."""
        path = self.directory / "hashes.npy"
        if not path.exists():
            return None
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"The file {path} is damaged ({error}); restore it or train again.") from error

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """One dictionary per completed epoch; a torn last line is skipped."""
        path = self.directory / "history.csv"
        if not path.exists():
            return []
        rows = []
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                values = {key: _number(text) for key, text in row.items() if key}
                if None not in row and values.get("epoch") is not None and None not in row.values():
                    rows.append({key: value for key, value in values.items() if value is not None})
        return rows

    def dataset(self) -> Dataset:
        """The data set it was trained on.

        Raises:
            UserError: it is unknown or was removed.
        """
        if not self.fingerprint:
            raise UserError(f"Run {self.name or self.id!r} does not record its data set; choose one.")
        try:
            return open_dataset(self.fingerprint)
        except UnknownName:
            raise UserError(
                f"The data set {self.fingerprint} that run {self.name or self.id!r} was trained on is not "
                "imported any more. Import it again or choose another data set."
            ) from None

    def leaked(self, dataset: Dataset, indices: np.ndarray, split: str) -> np.ndarray | None:
        """(N,) bool: whether the run trained or validated on exactly these pixels; None when unknown.

        The run's own validation images are compared with its training images only.
        """
        own = dataset.fingerprint == self.fingerprint
        seen = self.hashes
        if own and split == "validation" and "train" in self.splits:
            seen = dataset.hashes[self.splits["train"]]
        return None if seen is None else np.isin(dataset.hashes[indices], seen)

    def labels(self, dataset: Dataset, indices: np.ndarray, split: str) -> np.ndarray:
        """(N,) uint8 true classes; the run's own train and validation as its selection relabelled them.

        Test images always keep the labels of the data set, or their figures could not be compared.
        """
        selection = self.config.get("selection")
        if not selection or dataset.fingerprint != self.fingerprint or split not in ("train", "validation"):
            return np.asarray(dataset.labels)[indices]
        stored = self.directory / "labels.npy"
        labels = np.load(stored, allow_pickle=False) if stored.exists() else dataset.labels
        return np.asarray(labels)[indices]

    def indices(self, dataset: Dataset, split: str) -> np.ndarray:
        """(N,) int64: the images of `split`, of the classes the run knows, ascending.

        On its own data set train, validation and test are the run's own; PublicTest and PrivateTest, and
        every split of another data set, are the data set's.

        Raises:
            UserError: there are none; the message says which splits there are.
        """
        own = dataset.fingerprint == self.fingerprint and split in self.splits
        found = self.splits[split] if own else dataset.indices(split)
        if own and len(found) and found.max() >= len(dataset):
            raise UserError(f"The splits of run {self.name or self.id!r} do not fit its data set.")
        found = found[np.isin(dataset.labels[found], self.class_indices)]
        if len(found) == 0:
            counts = dataset.counts()
            parts = [part for part in ("PublicTest", "PrivateTest") if len(dataset.indices(part))]
            raise UserError(
                f"Data set {dataset.name!r} has no images in split {split!r} of the classes "
                f"{', '.join(self.classes)}. Choose from: {', '.join([*counts, *parts])}."
            )
        return np.sort(found)


def trained_run(run: Any) -> TrainedRun:
    """`TrainedRun` of a directory or of anything with `directory` and `name` (a `fer.runs.Run`)."""
    if isinstance(run, TrainedRun):
        return run
    directory = Path(getattr(run, "directory", run))
    if not directory.is_dir():
        raise UserError(f"There is no run directory {directory}.")
    name = (
        getattr(run, "name", "")
        if hasattr(run, "directory")
        else _json(directory / "labels.json").get("name")
    )
    return TrainedRun(directory, str(name or directory.name))


@lru_cache(maxsize=32)
def _splits(path: Path, changed: int) -> dict[str, np.ndarray]:
    """Shared by all who look at the run: the pages keep many comparisons of the same runs."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            splits = {key: stored[key].astype(np.int64) for key in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"The file {path} is damaged ({error}); restore it or train again.") from error
    for indices in splits.values():
        indices.setflags(write=False)
    return splits


def _json(path: Path) -> dict[str, Any]:
    content = read_json(path) if path.exists() else {}
    return content if isinstance(content, dict) else {}


def _number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text or None
