"""The original `fer2013.csv` (Goodfellow et al. 2013): one row per image, `emotion,pixels,Usage`.

`emotion` is a number in `CSV_ORDER` (or a name), `pixels` 2,304 numbers from 0 to 255, `Usage` says
Training, PublicTest or PrivateTest. Read line by line with a cap, so neither a huge line nor a gzip
bomb fills the memory. A malformed row is quarantined with its number, and the rest is imported.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np

from fer.data.dataset import SPLITS
from fer.data.sources_images import Collected, Progress
from fer.data.sources_layout import CLASS_WORDS, usage
from fer.emotions import CSV_ORDER, EMOTIONS, IMAGE_SIZE
from fer.errors import UserError

PIXELS = IMAGE_SIZE * IMAGE_SIZE
MAX_LINE = 65_536  # the longest possible row of 2,304 numbers has 9.2 kB; quotes and spaces may add
MAX_ROWS = 200_000
MAX_BYTES = 4_000_000_000
COLUMNS: dict[str, tuple[str, ...]] = {
    "emotion": ("emotion", "emotions", "label", "class", "target"),
    "pixels": ("pixels", "pixel", "image"),
    "usage": ("usage", "split", "set"),
}


def collect_csv(file: IO[bytes], size: int, progress: Progress) -> Collected:
    """Every well-formed row of the csv (plain or gzip) in `file`; `size` in bytes is for the progress.

    Raises:
        UserError: no columns for emotion and pixels, damaged gzip, or more than `MAX_ROWS` rows.
    """
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    text: IO[bytes] = gzip.GzipFile(fileobj=file) if compressed else file  # type: ignore[assignment]
    images = bytearray()
    labels: list[int] = []
    splits: list[int] = []
    names: list[str] = []
    parts: list[str] = []
    quarantined: list[dict[str, str]] = []
    row = 0
    for row, result in enumerate(_rows(text), start=1):
        if isinstance(result, str):
            quarantined.append({"where": f"row {row} (line {row + 1})", "reason": result})
        else:
            pixels, label, (split, part) = result
            images += pixels
            labels.append(label)
            splits.append(SPLITS.index(split))
            names.append(f"row {row}")
            parts.append(part)
        if row % 500 == 0:
            progress(min(1.0, file.tell() / max(size, 1)), f"Read {row:,} rows")
    progress(1.0, f"Read {row:,} rows")
    array = np.frombuffer(images, dtype=np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return Collected(
        images=array,
        labels=np.array(labels, dtype=np.uint8),
        splits=np.array(splits, dtype=np.uint8),
        names=names,
        parts=parts,
        quarantined=quarantined,
    )


Row = tuple[bytes, int, tuple[str, str]]


def _rows(text: IO[bytes]) -> Iterator[Row | str]:
    """Each data row as (2,304 bytes, label, (split, part)), or what is wrong with it."""
    lines = _lines(text)
    first = next(lines, None)
    if first is None:
        raise UserError("The csv is empty; expected the columns emotion, pixels, Usage.")
    columns = _columns(first)
    for count, line in enumerate(lines, start=1):
        if count > MAX_ROWS:
            raise UserError(f"The csv has more than {MAX_ROWS:,} rows; the limit is {MAX_ROWS:,}.")
        yield _parse(line, columns)


def _columns(header: bytes) -> dict[str, int]:
    """Where each column is: `{'emotion': 0, 'pixels': 1, 'usage': 2}`, `usage` only if present."""
    cells = [cell.strip().lower() for cell in _cells(header)]
    found = {
        column: cells.index(word) for column, words in COLUMNS.items() for word in words if word in cells
    }
    missing = [column for column in ("emotion", "pixels") if column not in found]
    if missing:
        shown = ", ".join(repr(cell[:30]) for cell in cells[:8])
        raise UserError(
            f"The csv lacks the column {' and '.join(missing)}; its first line has {shown or 'nothing'}. "
            "Expected emotion, pixels, Usage."
        )
    return found


def _parse(line: bytes | None, columns: dict[str, int]) -> Row | str:
    """One row, or the reason it cannot be used."""
    if line is None:
        return f"line longer than {MAX_LINE:,} bytes"
    cells = _cells(line)
    if len(cells) <= max(columns.values()):
        return f"{len(cells)} columns; expected at least {max(columns.values()) + 1}"
    label = _label(cells[columns["emotion"]].strip())
    if isinstance(label, str):
        return label
    pixels = _pixels(cells[columns["pixels"]])
    if isinstance(pixels, str):
        return pixels
    named = cells[columns["usage"]].strip() if "usage" in columns else "Training"
    place = usage(named)
    if place is None:
        return f"unknown Usage {named[:40]!r}; known are Training, PublicTest, PrivateTest, Validation, Test"
    return pixels, label, place


def _label(cell: str) -> int | str:
    if cell.isascii() and cell.isdigit() and len(cell) <= 3:
        number = int(cell)
        if number < len(CSV_ORDER):
            return EMOTIONS.index(CSV_ORDER[number])
        return f"label {number} is out of range; expected 0 to {len(CSV_ORDER) - 1}"
    if cell.lower() in CLASS_WORDS:
        return EMOTIONS.index(CLASS_WORDS[cell.lower()])
    return f"label {cell[:40]!r} is neither a number from 0 to {len(CSV_ORDER) - 1} nor an emotion"


def _pixels(cell: str) -> bytes | str:
    """The 2,304 bytes a pixel cell says, or what is wrong with it."""
    tokens = cell.split()
    if len(tokens) != PIXELS:
        return f"{len(tokens):,} pixels; expected {PIXELS:,}"
    try:
        return bytes(map(_VALUES.__getitem__, tokens))
    except KeyError as error:
        token = str(error.args[0])
        return f"pixel value {token[:20]!r} is not a whole number from 0 to 255"


_VALUES = {
    value_format.format(value): value for value in range(256) for value_format in ("{}", "{:02}", "{:03}")
}


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return []


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Lines that are not empty; None for one longer than `MAX_LINE`, which is skipped, not kept."""
    total = 0
    try:
        while line := file.readline(MAX_LINE):
            total += len(line)
            if total > MAX_BYTES:
                raise UserError(f"The csv unpacks to more than {MAX_BYTES:,} bytes, which is the limit.")
            if len(line) < MAX_LINE or line.endswith(b"\n"):
                if line.strip():
                    yield line
                continue
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                total += len(rest)
                if total > MAX_BYTES:
                    raise UserError(
                        f"The csv has a line of more than {MAX_BYTES:,} bytes, which is the limit."
                    )
            yield None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"The gzip is damaged ({error}). Fetch the file again.") from error
