"""What a command is, and how records become text for people."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    name: str
    help: str
    run: Callable[[argparse.Namespace, Progress], Any]
    text: Callable[[Any], str]
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = ()


def argument(*flags: str, **settings: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return flags, settings


def as_lines(rows: list[dict[str, Any]], note: str = "") -> str:
    """A list of records as aligned columns, and below them a note about how to read them."""
    if not rows:
        return "none yet"
    columns = [key for key in rows[0] if not isinstance(rows[0][key], dict | list)]
    cells = [columns, *([as_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([*lines, note] if note else lines)


def as_cell(value: Any) -> str:
    """One value of a table; a pair is a mean and its ±, or None for that.

    What ± means differs (standard deviation, half of an interval), so the table's note has to say it.
    """
    if value is None:
        return "–"
    if isinstance(value, tuple):
        mean, spread = value
        return as_cell(mean) if spread is None else f"{as_cell(mean)} ± {as_cell(spread)}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_document(result: dict[str, Any]) -> str:
    """A record as lines of `key: value`, nested records indented."""
    lines: list[str] = []

    def add(value: Any, indent: int) -> None:
        for key, item in value.items():
            if isinstance(item, dict):
                lines.append(f"{'  ' * indent}{key}:")
                add(item, indent + 1)
            elif not (isinstance(item, list) and len(item) > 12) and not hasattr(item, "shape"):
                lines.append(
                    f"{'  ' * indent}{key}: {item:.4f}"
                    if isinstance(item, float)
                    else f"{'  ' * indent}{key}: {item}"
                )

    add(result, 0)
    return "\n".join(lines)


DATASET = argument("dataset", metavar="DATASET", help="name or fingerprint")
RUN = argument("run_key", metavar="RUN", help="run id or name")
