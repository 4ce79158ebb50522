"""A Ray cluster: each training is one Ray Job, which waits there for a GPU or for a node's processor.

Here is what the dashboard and the command line call; it only reads and writes the run's folder. The talking
is done by one process of its own (`ray_follower`, through `ray_jobs`, the only code that imports ray), which
anybody starts and anybody may kill: everything it knows is in the run's `status.json` and `cluster.json`. On
the node, `ray_node` does the work with the same supervisor and worker as the local engine.

| file | written by | content |
|---|---|---|
| `status.json` | `submit` before the job exists; the node while it runs; the follower after it | the record |
| `cluster.json` | the follower | `{job, state, node, address, problem, heard}` |
"""

import importlib.util
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fer import storage
from fer.errors import UserError
from fer.runs import files, lifecycle, locks, processes, queue, schedule
from fer.runs import status as truth
from fer.runs.run import Run
from fer.runs.status import RunStatus

FOLLOWER_LOCK = "ray-follower"
STOP_SECONDS = 9  # a trainer has 7 to save; then Ray kills what is left
_started: list[tuple[float, subprocess.Popen[bytes]]] = []


def submit(run: Run) -> RunStatus:
    """Send a run to the cluster; what it needs travels along unless the cache is shared.

    Raises:
        UserError: it has finished or is damaged, ray is not installed here, or nothing answers at the
            cluster's address.
    """
    from fer.runs.launchers import chosen

    lifecycle.check_startable(run)
    settings = chosen()
    if not run.status().active:
        _check_reachable(settings["address"])
    with queue.transaction():
        settled = truth.settled(run.id, run.directory)
        if settled.get("state") == "finished":
            raise UserError(
                f"The run {run.name!r} has finished. Start a copy of it with the changes you want."
            )
        if settled.get("state") not in ("queued", "running"):
            for name in ("stop", "cluster.json"):
                (run.directory / name).unlink(missing_ok=True)
            record = lifecycle.fresh_record(run, settled) | {"engine": "ray"}
            record |= {"job": f"{run.id}-{record['attempt']}"} | settings
            files.write_record(run.directory, record)
    ensure_follower()
    return run.status()


def status_of(directory: Path, config: dict[str, Any], record: dict[str, Any]) -> RunStatus:
    """The status of a run whose record names this engine."""
    facts = files.read_object(directory / "cluster.json")
    if facts.get("job") != record.get("job"):
        facts = {}  # of an earlier attempt
    active = record.get("state") in ("queued", "running")
    if active:
        ensure_follower()
    node, problem = str(facts.get("node") or ""), str(facts.get("problem") or "")
    reason = str(record.get("reason") or "")
    if problem and active:
        reason = problem
    elif record.get("state") == "queued":
        waiting = "Waiting in the cluster until a GPU or a processor is free."
        known = {
            "": "On its way to the cluster.",
            "SENDING": "On its way to the cluster.",
            "PENDING": waiting,
        }
        known["RUNNING"] = f"Starting on {node}."
        reason = known.get(str(facts.get("state") or ""), f"Ended on {node}.")
    elif record.get("state") == "running" and facts.get("fetching"):
        reason = f"Ended on {node}; its files are being fetched."
    return truth.known(directory, config, record | {"reason": reason, "node": node, "ending": True})


def status(run: Run) -> RunStatus:
    return run.status()


def stop(run: Run, wait: bool = True) -> RunStatus:
    """Have the job stopped; a waiting one is cancelled."""
    with queue.transaction():
        if truth.settled(run.id, run.directory).get("state") not in ("queued", "running"):
            return run.status()
        if not schedule.stop_requested(run.directory):
            schedule.request_stop(run.directory)
    ensure_follower()
    deadline = time.monotonic() + STOP_SECONDS + 20
    while wait and run.status().active and time.monotonic() < deadline:
        time.sleep(0.2)
    return run.status()


def logs(run: Run, lines: int = 50) -> str:
    """The end of the run's log, as far as it has come here."""
    return run.log_tail(lines)


def ensure_follower() -> None:
    """Start the process that talks to the cluster unless one lives; racing callers are harmless."""
    _started[:] = [(at, process) for at, process in _started if process.poll() is None]
    if locks.is_held(FOLLOWER_LOCK) or any(time.monotonic() - at < 10 for at, _ in _started):
        return
    log = storage.cache_directory() / "ray-follower.log"
    if log.exists() and log.stat().st_size > 1_000_000:
        log.unlink(missing_ok=True)
    _started.append((time.monotonic(), processes.spawn_detached("fer.runs.launchers.ray_follower", [], log)))


def _check_reachable(address: str) -> None:
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "Ray is not installed here: run '.venv/bin/python -m pip install -r requirements-cluster.txt', "
            "or choose this computer with FER_ENGINE=local."
        )
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"No Ray cluster answers at {address} ({error}). Start it, set FER_RAY_ADDRESS to its Jobs "
            "server, such as http://127.0.0.1:8265, or train here with FER_ENGINE=local."
        ) from error
