"""What divides the images of a data set into groups: measured qualities, and tables a user brings.

FER-2013 says nothing about the people in its pictures. Whoever has such annotations (age, glasses, skin
tone, lighting) imports them as a CSV with a column `image` and one column for each attribute; they are kept
in `cache/attributes/<fingerprint>/<attribute>.json`. Brightness, contrast, sharpness and noise are measured
(`fer.analysis.quality`) and cut into quarters of the whole data set: there is something to audit without a
table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from fer import storage
from fer.analysis.quality import MEASURES, quality
from fer.data.dataset import Dataset, check_name
from fer.data.selection_csv import image_rows
from fer.errors import UnknownName, UserError

FORMAT_VERSION = 1
MAX_GROUPS = 24
MAX_ATTRIBUTES = 24
MAX_TEXT = 60
UNKNOWN = -1
_QUARTERS = ("lowest", "second", "third", "highest")


@dataclass(frozen=True)
class Attribute:
    """One way to divide a data set.

    Attributes:
        name: what it is called.
        groups: names of the G groups, in the order they are shown.
        codes: (N,) int16 index into `groups` for every image of the data set; -1 where it is unknown.
    """

    name: str
    groups: tuple[str, ...]
    codes: np.ndarray


def list_attributes(dataset: Dataset) -> list[str]:
    """The measured ones, then the imported ones by name."""
    return [*MEASURES, *imported_attributes(dataset)]


def imported_attributes(dataset: Dataset) -> list[str]:
    """Names, sorted, of what `import_attributes` stored."""
    files = _folder(dataset).glob("*.json")
    return sorted(path.stem for path in files if not path.name.startswith(storage.STAGING_PREFIX))


def open_attribute(dataset: Dataset, name: str) -> Attribute:
    """Raises `UnknownName` if the data set has no such attribute, `UserError` if its file is damaged."""
    if name in MEASURES:
        return _quarters(name, quality(dataset)[name])
    if name not in imported_attributes(dataset):
        raise UnknownName("attribute", name, list_attributes(dataset))
    path = _folder(dataset) / f"{name}.json"
    try:
        stored = storage.read_json(path)
    except FileNotFoundError:
        raise UnknownName("attribute", name, list_attributes(dataset)) from None  # removed in this moment
    try:
        if stored["format"] != FORMAT_VERSION:
            raise ValueError(f"format {stored['format']}")
        groups = tuple(str(group) for group in stored["groups"])
        codes = np.array(stored["codes"], dtype=np.int16)
        if codes.shape != (len(dataset),) or not ((codes >= UNKNOWN) & (codes < len(groups))).all():
            raise ValueError(f"{codes.shape} codes for {len(dataset):,} images")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"Attribute {name!r} is damaged ({error}); remove it and import it again.") from error
    return Attribute(name, groups, codes)


def import_attributes(dataset: Dataset, content: bytes | str) -> list[str]:
    """Every column but `image` of a CSV as an attribute; all of them or, on an error, none.

    Args:
        content: UTF-8 with commas. `image` is the whole name of an image in the data set or, where that is
            unique, its last part (`PublicTest_123.jpg`). Images that are not named, and empty cells, are
            in no group. Lower and upper case are different groups.

    Returns:
        The names of the attributes: those of the header in lower case.

    Raises:
        UserError: an unknown image, a name that is taken or cannot be one, too many groups; nothing is kept.
    """
    cells: dict[str, dict[int, str]] = {}
    for line, index, row in image_rows(dataset, content, ("image",), "image and one for each attribute"):
        if not cells:
            cells = {name: {} for name in row if name not in ("", "image")}
            _check_new(dataset, list(cells))
        for name, values in cells.items():
            text = row.get(name, "").strip()
            if len(text) > MAX_TEXT or not text.isprintable():
                raise UserError(
                    f"Line {line} of the CSV: {name} is {text[:20]!r}…, {len(text)} characters; a group's "
                    f"name has at most {MAX_TEXT}, all of them printable."
                )
            if text and values.setdefault(index, text) != text:
                raise UserError(
                    f"Line {line} of the CSV: {dataset.names[index]!r} is {text!r} here and "
                    f"{values[index]!r} above; an image is in one group of {name}."
                )
    if not cells:
        raise UserError("The CSV names no image; add a line for each.")
    made = [_from_cells(dataset, name, values) for name, values in cells.items()]
    with _writing(dataset):
        _check_new(dataset, list(cells))  # again: another session may have imported meanwhile
        _write(dataset, made)
    return list(cells)


def delete_attribute(dataset: Dataset, name: str) -> None:
    """Forget an imported attribute; the measured ones cannot be removed."""
    with _writing(dataset) as folder:
        if name not in imported_attributes(dataset):
            raise UnknownName("imported attribute", name, imported_attributes(dataset))
        (folder / f"{name}.json").unlink()


def _from_cells(dataset: Dataset, name: str, values: dict[int, str]) -> Attribute:
    groups = sorted(set(values.values()))
    if len(groups) > MAX_GROUPS:
        raise UserError(
            f"{name} has {len(groups):,} different values, such as {groups[0]!r} and {groups[1]!r}; at most "
            f"{MAX_GROUPS} can be told apart. Write numbers as ranges (20–29), or leave the column out."
        )
    if not groups:
        raise UserError(f"The column {name} of the CSV is empty; fill it or leave it out.")
    codes = np.full(len(dataset), UNKNOWN, dtype=np.int16)
    codes[list(values)] = [groups.index(value) for value in values.values()]
    return Attribute(name, tuple(groups), codes)


@contextmanager
def _writing(dataset: Dataset) -> Iterator[Path]:
    """Hold the data set's lock; yields the folder of its attributes, which exists."""
    folder = _folder(dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=30):
            yield folder
    except Timeout:
        raise UserError(
            f"Another process keeps the attributes of {dataset.name!r} locked. Try again in a moment."
        ) from None
    except OSError as error:
        raise storage.disk_error(error, folder) from error


def _write(dataset: Dataset, made: list[Attribute]) -> None:
    """All files or none."""
    paths = [_folder(dataset) / f"{attribute.name}.json" for attribute in made]
    try:
        for path, attribute in zip(paths, made, strict=True):
            codes = attribute.codes.tolist()
            stored = {"format": FORMAT_VERSION, "groups": list(attribute.groups), "codes": codes}
            storage.write_json(path, stored)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _check_new(dataset: Dataset, names: list[str]) -> None:
    if not names:
        raise UserError("The CSV has no column beside image; add one for each attribute.")
    known = imported_attributes(dataset)
    for name in names[:MAX_ATTRIBUTES]:
        check_name(name)
        if name in MEASURES:
            raise UserError(f"{name} is measured by the program; call your column otherwise.")
        if name in known:
            raise UserError(f"{dataset.name!r} has an attribute {name!r} already; remove that first.")
    if len(known) + len(names) > MAX_ATTRIBUTES:
        raise UserError(
            f"{dataset.name!r} has {len(known)} attributes and the CSV {len(names)}; at most "
            f"{MAX_ATTRIBUTES} are kept. Remove some first."
        )


def _quarters(name: str, values: np.ndarray) -> Attribute:
    """Four groups of about equally many images of the data set, by value."""
    edges = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    codes = np.searchsorted(edges[1:-1], values, side="left").astype(np.int16)
    groups = tuple(
        f"{word} quarter ({_short(low)} to {_short(high)})"
        for word, low, high in zip(_QUARTERS, edges[:-1], edges[1:], strict=True)
    )
    return Attribute(name, groups, codes)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _folder(dataset: Dataset) -> Path:
    return storage.cache_directory() / "attributes" / dataset.fingerprint
