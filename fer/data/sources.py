"""Bring a data set in: folder, zip, csv, Kaggle or the demo faces, decoded once and stored.

One function per kind of source collects arrays; `import_source` chooses it, checks what came and hands it
to `save_dataset`. Nothing is written before everything is read, and then in one rename: a kill at any
moment leaves earlier data sets as they were and the import repeatable.
"""

import io
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from fer.data.dataset import (
    Dataset,
    check_name,
    list_datasets,
    open_dataset,
    rename_dataset,
    save_dataset,
)
from fer.data.sources_csv import collect_csv
from fer.data.sources_images import Collected, Progress, collect_folder
from fer.data.sources_kaggle import download
from fer.data.sources_zip import collect_zip
from fer.errors import UserError

Source = str | os.PathLike | bytes | IO[bytes]

# Images of each class in train of the untouched release, and its pixel mean and standard deviation.
RELEASE_TRAIN: tuple[int, ...] = (3995, 436, 4097, 7215, 4965, 4830, 3171)
RELEASE_MEAN, RELEASE_STD = 0.5077, 0.2551


@dataclass(frozen=True)
class ImportResult:
    """What an import did.

    Attributes:
        dataset: the stored data set; one imported before, if the content is the same.
        quarantined: `{where, reason}` of each file or row seen and not imported.
        seconds: wall-clock time.
        converted: images that were colour or not 48 x 48.
        existed: whether the same content had been imported before.
        warnings: sentences to show.
    """

    dataset: Dataset
    quarantined: list[dict[str, str]]
    seconds: float
    converted: int = 0
    existed: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Files or rows seen: imported and quarantined."""
        return len(self.dataset) + len(self.quarantined)


def import_source(source: Source, name: str | None = None, progress: Progress | None = None) -> ImportResult:
    """Import `source` as a data set.

    Args:
        source: a path to a folder, `.zip`, `.csv` or `.csv.gz`; `kaggle:OWNER/NAME`; `demo`; or the bytes
            (or binary file) of a zip or csv, as an upload gives them.
        name: what to call it; by default after the source.
        progress: called with (fraction from 0 to 1, what is being done).

    Raises:
        UserError: the source is missing, refused or holds no usable image. Nothing was changed then.
    """
    started = time.monotonic()
    report = progress or (lambda fraction, text: None)
    if name is not None:
        check_name(name)
    if isinstance(source, str) and source.strip().lower() == "demo":
        return _import_demo(name, report, started)
    collected, label, default = _collect(source, lambda fraction, text: report(0.9 * fraction, text))
    if len(collected.labels) == 0:
        raise _nothing_usable(label, collected.quarantined)
    warned = [*collected.warnings, *release_warnings(collected)]
    report(0.9, f"Storing {len(collected.labels):,} images")
    meta = {
        "source": label,
        "quarantined": collected.quarantined,
        "converted": collected.converted,
        "warnings": warned,
        "import_started": time.time(),
    }
    if collected.parts:
        meta["usage"] = collected.parts
    dataset = save_dataset(
        name or default, collected.images, collected.labels, collected.splits, collected.names, meta
    )
    existed = dataset.meta.get("import_started") != meta["import_started"]
    if existed:
        warned = [*warned, f"The same content was imported before, as {dataset.name!r}; it is kept once."]
    report(1.0, f"Imported {len(dataset):,} images")
    seconds = time.monotonic() - started
    return ImportResult(dataset, collected.quarantined, seconds, collected.converted, existed, warned)


def release_warnings(collected: Collected) -> list[str]:
    """Where a copy of FER-2013 differs from the untouched release, as sentences.

    Copies found elsewhere are often blurred, equalised, resized or augmented under the same file names.
    The mean and standard deviation of train tell: a complete train must match to the fourth digit, a part
    of it to four standard errors (measured over single images: 0.13 and 0.05); fewer than a thousand
    images cannot tell.
    """
    train = collected.splits == 0
    count = int(train.sum())
    complete = tuple(np.bincount(collected.labels[train], minlength=7)) == RELEASE_TRAIN
    named = sum(n.rsplit("/", 1)[-1].startswith(("Training_", "PublicTest_")) for n in collected.names)
    if not count or not (complete or named > len(collected.names) / 2):
        return []
    warned = []
    mean, std = pixel_mean_std(collected.images, np.flatnonzero(train))
    slack = 0 if complete else 4 / count**0.5
    differs = (
        abs(mean - RELEASE_MEAN) > 0.0005 + 0.13 * slack or abs(std - RELEASE_STD) > 0.0005 + 0.05 * slack
    )
    if differs and (complete or count >= 1000):
        warned.append(
            f"This looks like FER-2013, but its training pixels have mean {mean:.4f} and standard "
            f"deviation {std:.4f}; the untouched release has {RELEASE_MEAN} and {RELEASE_STD}. Copies are "
            "often blurred, equalised or augmented: figures from it do not compare with the studies'."
        )
    if collected.converted:
        warned.append(
            f"This looks like FER-2013, but {collected.converted:,} images were colour or not 48 x 48 and "
            "were converted; the untouched release needs no conversion."
        )
    return warned


def pixel_mean_std(images: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of pixels/255, exact, from the histogram of those uint8 images."""
    from fer.analysis.statistics import pixel_counts, summary

    result = summary(pixel_counts(images, rows))
    return result["mean"], result["std"]


def _collect(source: Source, progress: Progress) -> tuple[Collected, str, str]:
    """(what the source holds, how to record it, a name for it)."""
    if isinstance(source, bytes | bytearray | memoryview):
        return _collect_file(io.BytesIO(source), "upload", progress), "upload", "Upload"
    if not isinstance(source, str | os.PathLike):
        shown = Path(str(getattr(source, "name", "upload")).replace("\\", "/")).name
        return _collect_file(source, shown, progress), shown, default_name(shown)
    text = os.fspath(source)
    if isinstance(text, str) and text.startswith("kaggle:"):
        folder = download(text.removeprefix("kaggle:"), progress)
        return _collect_path(folder, progress), text, default_name(text.rsplit("/", 1)[-1])
    path = Path(text).expanduser()
    return _collect_path(path, progress), str(path.resolve()), default_name(path.resolve().name)


def _collect_path(path: Path, progress: Progress) -> Collected:
    try:
        if path.is_dir():
            return _collect_folder(path, progress)
        if not path.exists():
            raise UserError(
                f"There is no file or folder {str(path)!r}. Give a folder, a .zip, fer2013.csv, "
                "kaggle:OWNER/NAME or demo."
            )
        if not path.is_file():
            raise UserError(f"{str(path)!r} is neither a file nor a folder.")
        with open(path, "rb") as file:
            return _collect_file(file, path.name, progress)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{str(path)[:200]!r} cannot be read ({reason}).") from error


def _collect_folder(folder: Path, progress: Progress) -> Collected:
    """Images below `folder`; where there are none, the one csv or zip in it (as Kaggle packs some)."""
    collected = collect_folder(folder, progress)
    if len(collected.labels):
        return collected
    for pattern in ("fer2013.csv*", "icml_face_data.csv", "*.csv", "*.zip"):
        for path in sorted(folder.rglob(pattern)):
            return _collect_path(path, progress)
    return collected


def _collect_file(file: IO[bytes], shown: str, progress: Progress) -> Collected:
    """By its first bytes, whatever it is called."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    start = file.read(512)
    file.seek(0)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return collect_zip(file, progress)
    text = b"," in start and b"\0" not in start
    if start[:2] == b"\x1f\x8b" or text or shown.lower().endswith(".csv"):
        return collect_csv(file, size, progress)
    raise UserError(
        f"{shown[:100]!r} is neither a zip nor a csv. Give a folder, a .zip of it, or fer2013.csv "
        "(plain or .gz)."
    )


def _import_demo(name: str | None, progress: Progress, started: float) -> ImportResult:
    from fer.data.demo import demo_dataset

    known = {info.fingerprint for info in list_datasets()}
    dataset = demo_dataset(progress=progress)
    existed, warned = dataset.fingerprint in known, []
    if existed:
        warned.append(f"The demo faces were imported before, as {dataset.name!r}; they are kept once.")
    elif name and name != dataset.name:
        rename_dataset(dataset.fingerprint, name)
        dataset = open_dataset(dataset.fingerprint)
    return ImportResult(dataset, [], time.monotonic() - started, existed=existed, warnings=warned)


def default_name(file: str) -> str:
    """A usable data set name after a file name."""
    stem = re.sub(r"(\.(zip|csv|gz))+$", "", file, flags=re.IGNORECASE)
    cleaned = re.sub(r"[^A-Za-z0-9 ._-]+", "-", stem).strip(" ._-")[:56].strip(" ._-")
    try:
        return check_name(cleaned)
    except UserError:
        return "Data set"


def _nothing_usable(label: str, quarantined: list[dict[str, str]]) -> UserError:
    if not quarantined:
        return UserError(
            f"No image was found in {label}. Expected train/<class>/*.jpg and test/<class>/*.jpg, "
            "or fer2013.csv."
        )
    first = quarantined[0]
    return UserError(
        f"No usable image was found in {label}: {len(quarantined):,} entries were left out, the first, "
        f"{first['where'][:120]}: {first['reason'][:300]}."
    )
