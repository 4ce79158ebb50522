"""`python -m fer.runs.launchers.ray_node train|fetch`: what a Ray Job runs on the node it was given.

`train` prepares a cache of the run's own on the node, whose `runs/` and `datasets/` lead to the shared folder
or hold what came with the job, and lets the supervisor of the local engine do the rest there; the queue and
the locks in it belong to this one run, because SQLite's and the kernel's locks do not reach across machines.
Without a shared folder it prints what changes in the run's small files, and `fetch` prints all of them.
Nothing here imports ray: Ray starts it, tells its GPU by CUDA_VISIBLE_DEVICES, and ends it by SIGTERM.

The order is JSON in `FER_RAY_ORDER`: `{run, record, device (auto, cpu, gpu), dataset, shared}`.
"""

import base64
import getpass
import hashlib
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

from fer.errors import UserError
from fer.runs import failures, files, queue, slots, supervisor, worker

ORDER = "FER_RAY_ORDER"
PARCEL = "fer-parcel"
CHANGE, ARCHIVE = "@fer-change ", "@fer-archive "
SMALL = ("status.json", "progress.json", "usage.json", "history.csv", "environment.json")
REPORT_SECONDS = 3.0
KEPT_SECONDS = 7 * 86400.0
LINE = 60_000
LOG_PIECE = 20_000


def main(arguments: list[str]) -> int:
    order = json.loads(os.environ[ORDER])
    os.environ["FER_CACHE"] = str(node_cache(order["run"]))
    return fetch(order) if arguments == ["fetch"] else train(order)


def node_cache(run: str) -> Path:
    """The cache of one run on this node, below `FER_NODE_CACHE` or the folder for temporary files."""
    base = os.environ.get("FER_NODE_CACHE") or Path(tempfile.gettempdir()) / f"fer-{getpass.getuser()}"
    return Path(base) / run


def train(order: dict[str, Any]) -> int:
    """Do the work of a run here; 0 when how it ended is recorded in its status.json."""
    prepare(order)
    from fer.runs.run import open_run

    run = open_run(order["run"])
    # A Stop reaches us as Ray's SIGTERM; the supervisor looks for the file.
    signal.signal(signal.SIGTERM, lambda *_: (run.directory / "stop").touch())
    os.environ[worker.BOUND] = "1"
    reporter = None if order["shared"] else Reporter(run.directory)
    code = 1
    try:
        place = _place(order)
        with queue.transaction() as connection:
            queue.delete(connection, run.id)
            queue.add(connection, run.id, run.kind, place.device)
            token = queue.claim(connection, run.id, place.name)
        code = supervisor.supervise(run, token, place)
    except UserError as error:
        failures.record_unstartable(run, str(error))
        code = 0
    finally:
        if reporter:
            reporter.close()
    return code


def _place(order: dict[str, Any]) -> slots.Slot:
    """The GPU that Ray gave this job, else the processor.

    Raises:
        UserError: the run asks for a GPU by name, and the one Ray counts is none that the driver shows.
    """
    if order["device"] == "cpu":
        return slots.CPU_SLOT
    if found := slots.gpus():
        return found[0]
    if order["device"] == "gpu":
        raise slots.missing_gpu("gpu")
    print("The driver of this node shows no GPU: training on its processor.", flush=True)
    return slots.CPU_SLOT


def prepare(order: dict[str, Any]) -> None:
    """Lay out the run's cache: links into the shared folder, or what came with the job.

    Raises:
        UserError: this node does not see the shared folder.
    """
    cache = Path(os.environ["FER_CACHE"])
    _forget_old(cache.parent)
    cache.mkdir(parents=True, exist_ok=True)
    if order["shared"]:
        shared = Path(order["shared"])
        if not (shared / "runs" / order["run"] / "config.json").exists():
            raise SystemExit(
                f"This node does not see the folder {shared} with the run {order['run']}: mount it under the "
                "same path, or choose no shared folder (FER_RAY_SHARED=no)."
            )
        for name in ("runs", "datasets", "selections"):
            if not (cache / name).is_symlink():
                (cache / name).symlink_to(shared / name)
        return
    dataset, parcel = _delivered(order["dataset"]), _delivered(f"{PARCEL}-{order['run']}")
    (cache / "datasets").mkdir(exist_ok=True)
    if not (cache / "datasets" / order["dataset"]).exists():
        shutil.copytree(dataset, cache / "datasets" / order["dataset"])
    for name in ("runs", "selections"):
        if (parcel / name).is_dir():
            shutil.copytree(parcel / name, cache / name, dirs_exist_ok=True)
    (cache / "runs" / order["run"] / "stop").unlink(missing_ok=True)
    with queue.transaction():
        files.write_record(cache / "runs" / order["run"], order["record"])


class Reporter:
    """Prints what changes in a run's small files and its log, for the follower to repeat at home."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.seen: dict[str, bytes] = {}
        self.logged = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.ended.set()
        self.thread.join()
        self.report()

    def _work(self) -> None:
        while not self.ended.wait(REPORT_SECONDS):
            self.report()

    def report(self) -> None:
        changed: dict[str, str] = {}
        for name in SMALL:
            try:
                content = (self.directory / name).read_bytes()
            except OSError:
                continue
            if self.seen.get(name) != content:
                self.seen[name] = content
                changed[name] = content.decode("utf-8", errors="replace")
        if log := self._new_log():
            changed["train.log"] = log
        if changed:
            packed = base64.b64encode(zlib.compress(json.dumps(changed).encode())).decode()
            print(CHANGE + packed, flush=True)

    def _new_log(self) -> str:
        """What train.log has grown by; of much, the end."""
        try:
            with open(self.directory / "train.log", "rb") as file:
                file.seek(max(self.logged, os.fstat(file.fileno()).st_size - LOG_PIECE))
                content = file.read()
                self.logged = file.tell()
        except OSError:
            return ""
        return content.decode("utf-8", errors="replace")


def fetch(order: dict[str, Any]) -> int:
    """Print the run's folder as one archive: a line with size and SHA-256, then base64."""
    directory = Path(os.environ["FER_CACHE"]) / "runs" / order["run"]
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
            for path in sorted(directory.rglob("*")):
                if path.is_file() and not path.name.startswith(".") and path.name not in ("stop", "reserve"):
                    archive.add(path, str(path.relative_to(directory)))
        size = file.tell()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        print(f"{ARCHIVE}{size} {digest}", flush=True)
        while piece := file.read(LINE // 4 * 3):
            print(base64.b64encode(piece).decode())
    sys.stdout.flush()
    return 0


def _delivered(name: str) -> Path:
    """The folder `name` that came with the job; Ray puts its parent on the path for modules."""
    for entry in [*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]:
        if entry and (Path(entry) / name).is_dir():
            return Path(entry) / name
    raise SystemExit(f"The folder {name} did not come with the job.")


def _forget_old(base: Path) -> None:
    """Remove what runs of a week ago left on this node; by then it was fetched or given up."""
    if not base.is_dir():
        return
    for folder in base.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
