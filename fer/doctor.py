"""What is installed, which devices there are, how full the disk is, and what was left lying around."""

import importlib.metadata
import platform
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer import storage
from fer.data.dataset import FORMAT_VERSION, datasets_directory, list_datasets

LOW_DISK = 2e9  # bytes; a data set of 36,000 faces takes 83 MB, a run of a small network 5 MB
LEFTOVER_AGE = 3600.0  # seconds; a staging file this old belongs to nobody


@dataclass(frozen=True)
class Problem:
    """Something to know or to do.

    Attributes:
        what: one sentence.
        remedy: what to do about it.
        path: the file or folder, '' if none.
        cleanable: whether `doctor --clean` removes it.
    """

    what: str
    remedy: str
    path: str = ""
    cleanable: bool = False


def examine() -> dict[str, Any]:
    """Versions, devices, disk use and problems: the keys of `fer doctor --json`."""
    from fer.backend import devices
    from fer.runs import list_runs

    cache = storage.cache_directory()
    usage = shutil.disk_usage(cache)
    runs = list_runs()
    return {
        "python": platform.python_version(),
        "tensorflow": _version("tensorflow") or _version("tensorflow-cpu"),
        "keras": _version("keras"),
        "streamlit": _version("streamlit"),
        "devices": [asdict(device) for device in devices()],
        "cache": {
            "path": str(cache),
            "bytes": storage.folder_size(cache),
            "free_bytes": usage.free,
            "datasets": {
                info.name: storage.folder_size(datasets_directory() / info.fingerprint)
                for info in list_datasets()
            },
            "runs": {run.id: storage.folder_size(run.directory) for run in runs},
        },
        "problems": [asdict(problem) for problem in problems()],
    }


def problems() -> list[Problem]:
    """Everything that is not as it should be, the most urgent first."""
    return [*_disk(), *_runs(), *_datasets(), *_leftovers()]


def clean(dry_run: bool = False) -> list[str]:
    """Remove what is cleanable (or only list it); returns the paths."""
    paths = [problem.path for problem in problems() if problem.cleanable]
    if not dry_run:
        for path in map(Path, paths):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return paths


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _disk() -> list[Problem]:
    free = shutil.disk_usage(storage.cache_directory()).free
    if free >= LOW_DISK:
        return []
    return [Problem(f"Only {free / 1e9:.1f} GB are free.", "Delete data sets or runs you no longer need.")]


def _runs() -> list[Problem]:
    from fer.runs import list_runs, orphans, statuses

    runs = list_runs()
    found = [
        Problem(f"Process {pid} belongs to run {run}, which does not know it.", f"End it: kill {pid}")
        for pid, run in orphans().items()
    ]
    for run, status in ((run, statuses(runs)[run.id]) for run in runs):
        if run.damaged:
            remedy = "Remove the run, or restore its config.json."
            found.append(Problem(f"Run {run.id} is damaged: {run.damaged}", remedy, str(run.directory)))
        elif status.state in ("killed", "interrupted"):
            found.append(Problem(f"Run {run.id} was {status.state}: {status.reason}", status.remedy))
    return found


def _datasets() -> list[Problem]:
    found = []
    for folder in datasets_directory().glob("[0-9a-f]*"):
        meta = folder / "meta.json"
        if not meta.exists():
            found.append(
                Problem(
                    f"{folder.name} is half a data set.", "Clean it, and import again.", str(folder), True
                )
            )
            continue
        version = storage.read_json(meta).get("format")
        if version != FORMAT_VERSION:
            what = f"Data set {folder.name} has format {version}; this version reads {FORMAT_VERSION}."
            found.append(
                Problem(what, "Import its source again, or use the version that wrote it.", str(folder))
            )
    return found


def _leftovers() -> list[Problem]:
    limit = time.time() - LEFTOVER_AGE
    cache = storage.cache_directory()
    return [
        Problem("A file that was being written when its program ended.", "Clean it.", str(path), True)
        for path in sorted(cache.rglob(f"{storage.STAGING_PREFIX}*"))
        if path.lstat().st_mtime < limit
    ]
