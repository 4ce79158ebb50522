"""What is installed, which devices there are, how full the disk is, and what was left lying around."""

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fer import storage
from fer.data.dataset import FORMAT_VERSION, damaged_datasets, datasets_directory, list_datasets
from fer.disk_use import budget, disk_use
from fer.errors import UserError
from fer.leftovers import LEFTOVER_AGE, Problem, leftovers, remove

__all__ = ["LEFTOVER_AGE", "LOW_DISK", "Problem", "clean", "examine", "problems"]

LOW_DISK = 2e9  # bytes; a data set of 36,000 faces takes 83 MB, a run of a small network 5 MB


def examine() -> dict[str, Any]:
    """Versions, devices, disk use and problems: the keys of `fer doctor --json`."""
    from fer.backend import devices
    from fer.runs import list_runs

    cache = storage.cache_directory()
    return {
        "python": platform.python_version(),
        "tensorflow": _version("tensorflow") or _version("tensorflow-cpu"),
        "keras": _version("keras"),
        "streamlit": _version("streamlit"),
        "devices": [asdict(device) for device in devices()],
        "cache": {
            "path": str(cache),
            "bytes": storage.folder_size(cache),
            "free_bytes": shutil.disk_usage(cache).free,
            "budget_bytes": budget(),
            "datasets": {
                info.name: storage.folder_size(datasets_directory() / info.fingerprint)
                for info in list_datasets()
            },
            "runs": {run.id: storage.folder_size(run.directory) for run in list_runs()},
        },
        "problems": [asdict(problem) for problem in problems()],
    }


def problems() -> list[Problem]:
    """Everything that is not as it should be, the most urgent first."""
    return [*_disk(), *_versions(), *_detector(), *_runs(), *_datasets(), *leftovers()]


def clean(dry_run: bool = False) -> list[str]:
    """Remove what is cleanable (or only list it); returns the paths."""
    found = leftovers()
    return [problem.path for problem in found if problem.cleanable] if dry_run else remove(found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _disk() -> Iterator[Problem]:
    free = shutil.disk_usage(storage.cache_directory()).free
    if free < LOW_DISK:
        yield Problem(f"Only {free / 1e9:.1f} GB are free.", "Delete data sets or runs you no longer need.")
    used = disk_use()
    total = sum(use.bytes for use in used)
    if total > budget():
        largest = "; ".join(f"{use.kind} {use.name} {use.bytes / 1e6:,.0f} MB" for use in used[:3])
        yield Problem(
            f"The cache takes {total / 1e9:.1f} GB, more than its budget of {budget() / 1e9:.1f} GB.",
            f"The largest: {largest}. Delete what you no longer need, or set FER_DISK_BUDGET.",
        )


def _versions() -> Iterator[Problem]:
    """Installed packages that are not what `requirements.txt` asks for."""
    from packaging.requirements import InvalidRequirement, Requirement

    path = storage.PROJECT / "requirements.txt"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            wanted = Requirement(line.split("#")[0].strip())
        except InvalidRequirement:
            continue  # a comment, or an option of pip
        names = ("tensorflow", "tensorflow-cpu") if wanted.name == "tensorflow" else (wanted.name,)
        installed = next(filter(None, map(_version, names)), None)
        if installed is None or not wanted.specifier.contains(installed, prereleases=True):
            found = installed or "not installed"
            what = f"{wanted.name} is {found}; this program was tested with {wanted.specifier}."
            yield Problem(what, "Run: python dashboard --setup-only")


def _detector() -> Iterator[Problem]:
    from fer.prediction import faces

    if faces.model_path() is None:
        yield Problem(
            "The face detector's model file is missing or changed, so faces are found less well.",
            "Run: python dashboard --setup-only",
        )


def _runs() -> Iterator[Problem]:
    from fer.runs import list_runs, orphans, statuses

    runs = list_runs()
    for pid, run in orphans().items():
        yield Problem(f"Process {pid} belongs to run {run}, which does not know it.", f"End it: kill {pid}")
    known = statuses(runs)
    datasets = {info.fingerprint for info in list_datasets()}
    for one in runs:
        status, data = known[one.id], one.config.get("dataset")
        if one.damaged:
            remedy = "Remove the run, restore its config.json, or use the version that wrote it."
            yield Problem(f"Run {one.id} is damaged: {one.damaged}", remedy, str(one.directory))
        elif status.state in ("killed", "interrupted"):
            yield Problem(f"Run {one.id} was {status.state}: {status.reason}", status.remedy)
        if data and data not in datasets:
            what = f"Run {one.id} was trained on data set {data}, which is not imported any more."
            yield Problem(what, "Import it again to evaluate or resume the run; its results stay.")
        yield from _written_by(one)


def _written_by(run: Any) -> Iterator[Problem]:
    """A network written by another release of Keras than the one that reads it."""
    from fer.runs.files import read_object

    versions = read_object(run.directory / "environment.json").get("versions")
    written = str(versions.get("keras") or "") if isinstance(versions, dict) else ""
    reads = _version("keras") or ""
    if written and [int(n) for n in written.split(".")[:2] if n.isdigit()] > [
        int(n) for n in reads.split(".")[:2] if n.isdigit()
    ]:
        what = f"Run {run.id} was written by Keras {written}; installed is {reads}, which may not read it."
        yield Problem(what, "Run: python dashboard --setup-only", str(run.directory))


def _datasets() -> Iterator[Problem]:
    for folder in damaged_datasets():
        if not (folder / "meta.json").exists():
            continue  # half an import, among the leftovers
        try:
            version = storage.read_json(folder / "meta.json").get("format")
        except (UserError, AttributeError):
            version = None
        known = version if isinstance(version, int) else "no format that can be read"
        what = f"Data set {folder.name} has format {known}; this version reads {FORMAT_VERSION}."
        yield Problem(what, "Import its source again, or use the version that wrote it.", str(folder))
