"""What killed programs and deleted data left behind, and what of it is safe to remove."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer import storage
from fer.data.dataset import datasets_directory
from fer.errors import UserError

LEFTOVER_AGE = 3600.0  # seconds; a staging file this old belongs to nobody
TRASH_DAYS = 30.0
SCRATCH = ("fer-upload-*", "fer-model-*", "fer-load-*")  # in the system's folder for temporary files


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


def leftovers() -> list[Problem]:
    """Everything that `remove` may delete, each with its reason."""
    return [
        *_staging(),
        *_scratch(),
        *_half_datasets(),
        *_results_of_nothing(),
        *_locks(),
        *_trash(),
        *_damaged(),
    ]


def remove(problems: list[Problem]) -> list[str]:
    """Delete what is cleanable and still there; returns the paths that are gone.

    Raises:
        UserError: a folder that would be deleted is neither in the cache nor one of our temporary ones.
    """
    gone = []
    for problem in problems:
        path = Path(problem.path)
        if not problem.cleanable or not (path.exists() or path.is_symlink()):
            continue
        _check_ours(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        gone += [] if path.exists() else [problem.path]
    return gone


def _check_ours(path: Path) -> None:
    cache, scratch = storage.cache_directory(), Path(tempfile.gettempdir()).resolve()
    inside = path.parent.resolve()
    if cache in (inside, *inside.parents) or (inside == scratch and path.name.startswith("fer-")):
        return
    raise UserError(f"{path} is not in the cache {cache}, so it is not removed.")


def _old(path: Path, seconds: float = LEFTOVER_AGE) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - seconds
    except OSError:
        return False


def _staging() -> Iterator[Problem]:
    for path in sorted(storage.cache_directory().rglob(f"{storage.STAGING_PREFIX}*")):
        if _old(path):
            what = "A file that was being written when its program ended."
            yield Problem(what, "Clean it.", str(path), True)


def _scratch() -> Iterator[Problem]:
    for pattern in SCRATCH:
        for path in sorted(Path(tempfile.gettempdir()).glob(pattern)):
            if _old(path, 24 * LEFTOVER_AGE):
                yield Problem(
                    "An upload whose server was ended before it was read.", "Clean it.", str(path), True
                )


def _half_datasets() -> Iterator[Problem]:
    for folder in sorted(datasets_directory().glob("[0-9a-f]*")):
        if folder.is_dir() and not (folder / "meta.json").exists():
            yield Problem(
                f"{folder.name} is half a data set.", "Clean it, and import again.", str(folder), True
            )


def _results_of_nothing() -> Iterator[Problem]:
    derived = storage.cache_directory() / "derived"
    for folder in sorted(derived.glob("[0-9a-f]*")):
        if not (datasets_directory() / folder.name).exists():
            what = f"Results computed from data set {folder.name}, which is not imported any more."
            yield Problem(what, "Clean them; they are computed again after an import.", str(folder), True)


def _locks() -> Iterator[Problem]:
    """Lock files of runs that are gone; the kernel released the locks themselves."""
    from fer.runs import list_runs
    from fer.runs.locks import is_held, lock_path
    from fer.runs.status import run_lock

    known = {lock_path(run_lock(run.id)).name for run in list_runs()}
    for path in sorted((storage.cache_directory() / "locks").glob("run-*.lock")):
        if path.name not in known and _old(path) and not is_held(path.name.removesuffix(".lock")):
            yield Problem("A lock of a run that is gone; nobody holds it.", "Clean it.", str(path), True)


def _trash() -> Iterator[Problem]:
    from fer.runs.labels import trash_directory

    for folder in sorted(trash_directory().glob("*/")):
        if _old(folder, TRASH_DAYS * 86400):
            what = f"Run {folder.name} has been in the trash for more than {TRASH_DAYS:.0f} days."
            yield Problem(what, "Clean it, or restore it on the Runs page.", str(folder), True)


def _damaged() -> Iterator[Problem]:
    for path in sorted(storage.cache_directory().glob("queue.damaged-*.sqlite")):
        what = "A damaged queue that was put aside; runs that waited in it can be resumed."
        yield Problem(what, "Clean it.", str(path), True)
