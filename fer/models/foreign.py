"""Import a network that was trained elsewhere: a `.keras` file in, a run of kind `imported` out.

The file may be hostile. It is opened only in a child process with limits on memory, processor time, files
and wall time (`fer.models.foreign_child`), and only as data until its description was found harmless. What
is kept is a file that Keras wrote anew from the loaded network; the foreign one is never read by the server.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from fer import storage
from fer.emotions import CSV_ORDER, EMOTIONS
from fer.errors import UnknownName, UserError
from fer.runs import Run, create_run
from fer.runs.creation import check_free, check_run_name

KIND = "imported"
MAX_BYTES = 600 * 2**20
MAX_MEMORY = 5 * 2**30  # watched from here too, for systems without limits of address space
MAX_SECONDS = 180.0  # wall time, for a busy machine; processor time ends earlier: foreign_child.SECONDS
SCALES = ("0..1", "0..255", "-1..1")
ORDERS: dict[str, tuple[str, ...]] = {"alphabetical": tuple(EMOTIONS), "fer2013.csv": tuple(CSV_ORDER)}
Progress = Callable[[float, str], object]


def import_model(
    source: Path | str,
    name: str | None = None,
    dataset: str | None = None,
    scale: str = "0..1",
    order: str = "alphabetical",
    progress: Progress | None = None,
) -> Run:
    """Import the network in a `.keras` file as a finished run that is compared, explained and predicts.

    Args:
        source: the file, at most `MAX_BYTES`.
        name: what to call the run; by default after its id.
        dataset: name or fingerprint of the data set to judge it on; by default the newest.
        scale: the range its pixels had in training, one of `SCALES`.
        order: of its outputs: `alphabetical`, as class folders are read, or that of `fer2013.csv`.

    Raises:
        UserError: it is no `.keras` file, is refused, or the name is taken. Nothing was stored then.
    """
    from fer.data.dataset import list_datasets, open_dataset

    if scale not in SCALES:
        raise UnknownName("range of pixels", scale, SCALES)
    if order not in ORDERS:
        raise UnknownName("order of expressions", order, tuple(ORDERS))
    if name is not None:
        check_run_name(name)
        check_free(name)
    path = _checked_path(Path(source))
    known = list_datasets()
    fingerprint = open_dataset(dataset).fingerprint if dataset else known[0].fingerprint if known else ""
    with tempfile.TemporaryDirectory(prefix="fer-model-") as scratch:
        folder = Path(scratch)
        facts = _examine(path, folder, scale, progress or (lambda fraction, text: None))
        config = {
            "imported": {"file": path.name[:120], "sha256": _digest(path), "pixels": scale, "order": order},
            "dataset": fingerprint,
            "classes": list(ORDERS[order]),
        }
        return create_run(
            config,
            kind=KIND,
            name=name,
            recipe=KIND,
            fill=lambda staging: _fill(staging, folder, config, facts),
        )


def run(config: dict[str, Any], directory: Path, progress: Progress, should_stop: Callable[[], bool]) -> Any:
    """The job of kind `imported`: there is none."""
    raise UserError("This network was trained elsewhere, so it cannot be trained again. Train a recipe.")


def _checked_path(path: Path) -> Path:
    """What can be told without opening it: a file of the right ending, size and first bytes."""
    shown = repr(path.name[:80])
    try:
        if not path.is_file():
            raise UserError(f"There is no file {str(path)[:200]!r}. Give a .keras file.")
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(4)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{str(path)[:200]!r} cannot be read ({reason}).") from error
    if path.suffix.lower() != ".keras":
        raise UserError(
            f"{shown} is no .keras file. Save the model again with Keras 3: model.save('name.keras'); "
            "weights alone, .h5 and pickles are not taken."
        )
    if size > MAX_BYTES:
        raise UserError(
            f"{shown} has {size / 2**20:,.0f} MB; the limit is {MAX_BYTES // 2**20:,} MB. Save it "
            "without its optimizer: compile it without one before model.save(…)."
        )
    if start != b"PK\x03\x04":
        reason = "is empty" if not size else "is damaged or not what its name says: it is no zip archive"
        raise UserError(f"{shown} {reason}. Save the model again with Keras 3: model.save('name.keras').")
    return path


def _examine(path: Path, folder: Path, scale: str, progress: Progress) -> dict[str, Any]:
    """Facts about the network, found by the child process, which leaves `network.keras` in `folder`."""
    job = {"source": str(path.resolve()), "scale": scale}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    progress(0.1, "Checking the file")
    with open(folder / "said.txt", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fer.models.foreign_child", str(folder)],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        ended = _watch(process, progress)
    if ended:
        raise UserError(f"The model file is refused: {ended}. Take a smaller or simpler network.")
    try:
        verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"The model file is refused: opening it {_how_it_died(process.returncode)}. "
            "Take a smaller or simpler network."
        ) from None
    if "error" in verdict:
        raise UserError(verdict["error"])
    return verdict["facts"]


def _watch(process: subprocess.Popen, progress: Progress) -> str:
    """Wait for the child; why it was ended from here, '' when it ended by itself."""
    started = time.monotonic()
    try:
        while process.poll() is None:
            seconds = time.monotonic() - started
            if seconds > MAX_SECONDS:
                return f"opening it takes more than {MAX_SECONDS:.0f} s (is the computer busy?)"
            if _resident(process.pid) > MAX_MEMORY:
                return f"opening it takes more than {MAX_MEMORY / 2**30:.0f} GB of memory"
            progress(min(0.9, 0.1 + seconds / 15), "Loading it in a process of its own")
            time.sleep(0.1)
        return ""
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _resident(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def _how_it_died(status: int) -> str:
    if status in (-24, -9):  # SIGXCPU; a system that does not wait for the soft limit kills
        return "takes too long"
    return "needs more memory than a network may, or crashed"


def _environment(folder: Path) -> dict[str, str]:
    """What the child needs to start and nothing else: no tokens, no settings of Keras, no GPU."""
    kept = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "KERAS_BACKEND")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {
        "PYTHONPATH": str(storage.PROJECT),
        "HOME": str(folder),
        "KERAS_HOME": str(folder),
        "FER_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MALLOC_ARENA_MAX": "2",
    }


def _fill(staging: Path, folder: Path, config: dict[str, Any], facts: dict[str, Any]) -> None:
    """The run's files, before its folder appears: the network, facts about it, and that it is finished."""
    shutil.copyfile(folder / "network.keras", staging / "best.keras")
    known = facts | {
        "model": KIND,
        "classes": config["classes"],
        "input_shape": [48, 48, 1],
        "file_size": (staging / "best.keras").stat().st_size,
    }
    (staging / "model.json").write_text(json.dumps(known), encoding="utf-8")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
