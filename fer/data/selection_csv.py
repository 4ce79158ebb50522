"""Selections as CSV: one line per decision, by image name, safe to open in a spreadsheet."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from fer.data.dataset import Dataset, check_name
from fer.data.selection import MAX_REASON, Decision, Selection, _append, _event, _fold, _read, _writing
from fer.emotions import EMOTIONS
from fer.errors import UserError

COLUMNS = ("image", "given", "action", "label", "reason")
MAX_BYTES = 20_000_000
MAX_COLUMNS = 100
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def export_csv(dataset: Dataset, selection: Selection) -> str:
    """Columns image, given (label), action, label, reason; no cell can start a formula."""
    selection._check(dataset)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index in sorted(selection.decisions):
        decision = selection.decisions[index]
        given = EMOTIONS[dataset.labels[index]]
        row = (dataset.names[index], given, decision.action, decision.label, decision.reason)
        writer.writerow([guarded(cell) for cell in row])
    return text.getvalue()


def import_csv(dataset: Dataset, name: str, content: bytes | str) -> Selection:
    """Add the decisions in a CSV to the selection `name`; all of them or, on an error, none.

    Raises:
        UserError: a missing column, an unknown image, action or class, with the line.
    """
    check_name(name)
    decisions = _parse(dataset, content)
    groups: dict[Decision, list[int]] = {}
    for index, decision in decisions.items():
        groups.setdefault(decision, []).append(index)
    events = [
        _event(dataset, indices, decision.action, decision.label, decision.reason)
        for decision, indices in groups.items()
    ]
    with _writing(dataset, name) as file:
        if events:
            _append(file, events)
        return _fold(dataset, name, _read(file))


def guarded(cell: str) -> str:
    """`cell` with an apostrophe before what a spreadsheet would take for a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def image_rows(
    dataset: Dataset, content: bytes | str, needed: Sequence[str], expected: str
) -> Iterator[tuple[int, int, dict[str, str]]]:
    """`(line, index of the image, cells by lower-case column)` of a CSV that has a column `image`.

    An image goes by its whole name or, where that is unique in the data set, by the last part of it.
    """
    if len(content) > MAX_BYTES:
        raise UserError(f"The CSV has {len(content):,} bytes; the limit is {MAX_BYTES:,}.")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"The CSV cannot be read ({error}); save it as UTF-8 with commas.") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    missing = [column for column in needed if column not in header]
    if missing:
        raise UserError(f"The CSV lacks the column {' and '.join(missing)}; expected {expected}.")
    if len(header) > MAX_COLUMNS:
        raise UserError(f"The CSV has {len(header):,} columns; at most {MAX_COLUMNS} are read.")
    twice = [column for column, often in Counter(header).items() if column and often > 1]
    if twice:
        raise UserError(f"The CSV has the column {twice[0][:40]!r} twice (case aside); keep one of them.")
    numbers = _numbers(dataset)
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        filled = zip_longest(header, row[: len(header)], fillvalue="")
        cells = {column: unguarded(cell) for column, cell in filled}
        image = cells.get("image", "")
        if image not in numbers:
            raise UserError(f"Line {line} of the CSV: {dataset.name!r} has no image {image[:80]!r}.")
        yield line, numbers[image], cells


def _numbers(dataset: Dataset) -> dict[str, int]:
    """Index of every image by its name, and by the last part of it where no other image has that."""
    files = [name.rsplit("/", 1)[-1] for name in dataset.names]
    often = Counter(files)
    short = {file: index for index, file in enumerate(files) if often[file] == 1}
    return short | {image: index for index, image in enumerate(dataset.names)}


def _parse(dataset: Dataset, content: bytes | str) -> dict[int, Decision]:
    rows = image_rows(dataset, content, ("image", "action"), ", ".join(COLUMNS))
    return {index: _decision(cells, line) for line, index, cells in rows}


def _decision(cells: dict[str, str], line: int) -> Decision:
    action, label = cells.get("action", "").strip().lower(), cells.get("label", "").strip().lower()
    if action not in ("keep", "drop", "relabel"):
        raise UserError(f"Line {line} of the CSV: action {action[:40]!r}; expected keep, drop or relabel.")
    if action == "relabel" and label not in EMOTIONS:
        raise UserError(f"Line {line} of the CSV: class {label[:40]!r}; expected {', '.join(EMOTIONS)}.")
    return Decision(action, label if action == "relabel" else "", cells.get("reason", "")[:MAX_REASON])
