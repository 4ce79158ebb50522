"""How much disk each data set, run and the rest takes, against a budget (`FER_DISK_BUDGET`, in GB)."""

import math
import os
from dataclasses import dataclass

from fer import storage
from fer.data.dataset import datasets_directory, list_datasets
from fer.errors import UserError

BUDGET = 20e9  # bytes: two copies of FER-2013 and a hundred runs with room to spare


@dataclass(frozen=True)
class Use:
    """One line of the table.

    Attributes:
        kind: `data set`, `results` (derived from it), `run`, `trash` or `other`.
        name: what the user calls it.
        key: fingerprint or run id, '' for the rest.
        bytes: of its files.
    """

    kind: str
    name: str
    key: str
    bytes: int


def disk_use() -> list[Use]:
    """Everything below the cache, the largest first; adds up to the cache's size."""
    from fer.runs import list_runs

    cache = storage.cache_directory()
    found = []
    for info in list_datasets():
        found.append(_use("data set", info.name, info.fingerprint, datasets_directory() / info.fingerprint))
        found.append(_use("results", info.name, info.fingerprint, cache / "derived" / info.fingerprint))
    found += [_use("run", run.name, run.id, run.directory) for run in list_runs()]
    found.append(_use("trash", "removed runs", "", cache / "trash"))
    rest = storage.folder_size(cache) - sum(use.bytes for use in found)
    found.append(Use("other", "queue, locks, presets, leftovers", "", max(rest, 0)))
    return sorted((use for use in found if use.bytes), key=lambda use: use.bytes, reverse=True)


def budget() -> float:
    """Bytes the cache may take before the doctor speaks: `FER_DISK_BUDGET` in GB, or 20 GB.

    Raises:
        UserError: it is no positive number.
    """
    text = os.environ.get("FER_DISK_BUDGET", "")
    if not text:
        return BUDGET
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e6:
        raise UserError(f"FER_DISK_BUDGET is {text[:40]!r}; give gigabytes as a number, such as 20.")
    return value * 1e9


def _use(kind: str, name: str, key: str, path: "os.PathLike[str]") -> Use:
    return Use(kind, name, key, storage.folder_size(path))  # type: ignore[arg-type]
