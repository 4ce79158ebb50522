"""The files of a run that others than its job read and write; none is ever seen half written."""

import csv
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError

FORMAT = 1  # of status.json


def read_record(directory: Path) -> dict[str, Any]:
    """The recorded status; {} when there is none, `{"state": "damaged"}` when it cannot be read."""
    try:
        content = storage.read_json(directory / "status.json")
    except FileNotFoundError:
        return {}
    except UserError:
        return {"state": "damaged"}
    if not isinstance(content, dict) or "state" not in content or content.get("format", FORMAT) != FORMAT:
        return {"state": "damaged"}
    return content


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Replace the recorded status; call inside `queue.transaction()`."""
    if directory.is_dir():  # a removed run is not brought back
        storage.write_json(directory / "status.json", record)


def epochs_of(config: dict[str, Any]) -> int:
    """Planned epochs: the sum over the phases of a training, 0 when the config names none."""
    try:
        if "phases" not in config:
            return int(config.get("epochs") or 0)
        retrained = int(config.get("hard_samples") or 0)  # a phase that `TrainConfig.all_phases` appends
        return sum(int(phase["epochs"]) for phase in config["phases"]) + retrained
    except (TypeError, KeyError, ValueError):
        return 0


def built_on(config: dict[str, Any]) -> list[str]:
    """Ids or names of the runs whose networks this one starts from: it cannot start before they end."""
    teachers = config.get("teachers") or []
    keys = [config.get("smote"), config.get("initial"), *(teachers if isinstance(teachers, list) else [])]
    return [key for key in keys if isinstance(key, str) and key]


def history_rows(directory: Path) -> list[dict[str, str]]:
    """Complete rows of history.csv as text; a torn last line is left out."""
    try:
        text = (directory / "history.csv").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    complete = text[: text.rfind("\n") + 1]
    return [
        row for row in csv.DictReader(complete.splitlines()) if None not in row and None not in row.values()
    ]


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file that may be missing or damaged; then {}."""
    try:
        content = storage.read_json(path)
    except (OSError, UserError):
        return {}
    return content if isinstance(content, dict) else {}


def after_epochs(directory: Path) -> str:
    """' after epoch 3' for a training that completed three, else ''."""
    epochs = len(history_rows(directory))
    return f" after epoch {epochs}" if epochs else ""
