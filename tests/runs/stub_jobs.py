"""Light jobs for the tests of the run machinery: no TensorFlow, all behaviour by config."""

import contextlib
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fer import storage
from fer.errors import UserError


def work(config, directory: Path, progress, should_stop):
    """Epochs of `seconds` each: `history.csv`, an atomic `best.keras`, resume after the last one.

    `events` names a file that gets a line at start and end of each job.
    """
    _event(config, directory, "start")
    _mischief(config, directory)
    history = directory / "history.csv"
    if not history.exists():
        storage.append_line(history, "epoch,val_accuracy")
    text = history.read_text()
    done = text[: text.rfind("\n") + 1]
    if done != text:
        storage.write_text(history, done)
    first = len(done.splitlines()) - 1
    epochs = config.get("epochs", 3)
    for epoch in range(first, epochs):
        until = time.monotonic() + config.get("seconds", 0.05)
        while time.monotonic() < until:
            progress(epoch / epochs, f"epoch {epoch + 1}")
            if should_stop() and not config.get("deaf"):
                _event(config, directory, "stop")
                return {"stopped": True, "metrics": {"epoch": epoch}}
            time.sleep(0.01)
        if config.get("fill_at") == epoch:
            _fill_the_disk(directory / "filler")
        _save(config, directory / "best.keras", bytes([epoch % 256]) * config.get("best_bytes", 1000))
        storage.append_line(history, f"{epoch},{round(0.1 + epoch / 100, 4)}")
    _event(config, directory, "end")
    return {"stopped": False, "metrics": {"accuracy": 0.5, "nice": os.nice(0)}}


def _save(config, path: Path, content: bytes) -> None:
    """Replace the model; with `slow_save`, half of it is on the disk for so many seconds."""
    with storage.replacing(path) as temporary, open(temporary, "wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        time.sleep(config.get("slow_save", 0))
        file.write(content[len(content) // 2 :])


def _mischief(config, directory: Path) -> None:
    match config.get("raise"):
        case "user":
            error = UserError("The batch size is 0; it must be at least 1.")
            error.remedy, error.kind = "Use 32.", "settings"
            raise error
        case "memory":
            raise MemoryError
        case "exhausted":
            raise type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor")
        case "bug":
            raise ZeroDivisionError("division by zero")
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", str(directory / "best.keras"))
        case "exit":
            os._exit(3)
        case "sysexit":
            sys.exit(4)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "sigterm":
            os.kill(os.getpid(), signal.SIGTERM)
        case "import":
            raise ImportError("No module named 'nothing'")
    if config.get("fork"):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start()
        (directory / "child.pid").write_text(str(child.pid))
    if config.get("escape"):  # leaves the group and the session
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
        )
        (directory / "escaped.pid").write_text(str(child.pid))
    time.sleep(config.get("before", 0))
    if config.get("eat_megabytes"):
        hoard = []
        for _ in range(config["eat_megabytes"]):
            hoard.append(os.urandom(2**20))
            time.sleep(0.001)
        time.sleep(config.get("digest", 30))
    if config.get("environment"):
        names = ("CUDA_VISIBLE_DEVICES", "FER_DEVICE", "FER_RUN")
        storage.write_json(directory / "environment.json", {name: os.environ.get(name) for name in names})


def _fill_the_disk(path: Path) -> None:
    """Write until not a byte more fits."""
    for block in (2**16, 2**12, 1):
        with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
            while True:
                file.write(bytes(block))


def _event(config, directory: Path, what: str) -> None:
    if config.get("events"):
        slot = os.environ.get("FER_DEVICE", "")
        storage.append_line(
            Path(config["events"]), f"{time.time()} {what} {directory.name} {slot} {os.getpid()}"
        )
