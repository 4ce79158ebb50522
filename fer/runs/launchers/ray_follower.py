"""`python -m fer.runs.launchers.ray_follower`: sends runs to Ray clusters and writes down how they fare.

One lives at a time, while there is a run to follow; it may be killed at any moment, for everything it knows
is in the runs' folders and in the cluster. A job has the id `<run>-<attempt>`, which Ray accepts once, so no
attempt can start twice.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs import failures, files, locks, queue, schedule, status
from fer.runs.launchers import ray_mirror
from fer.runs.launchers.ray import FOLLOWER_LOCK
from fer.runs.launchers.ray_jobs import ENDED, Cluster, JobDetails
from fer.runs.run import Run, open_run, runs_directory

POLL = 1.0
SETTLE_SECONDS = 5.0  # a record written on the node may take a moment to be seen through a shared folder
FETCH_TRIES = 3
SENDING = "SENDING"


class Follower:
    """Looks at each active run of the engine `ray` once a step."""

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.told: set[str] = set()  # jobs that were asked to stop
        self.ended: dict[str, float] = {}  # jobs whose end was seen without a record, and when
        self.read: dict[str, tuple[float, int]] = {}  # job: when to read its output next, and from where
        self.idle: dict[str, int] = {}  # folders of runs that are not ours, with the time of their record
        self.tries: dict[str, int] = {}
        self.fetching: dict[str, Future[None]] = {}
        self.pool = ThreadPoolExecutor(2, thread_name_prefix="fetch")

    def step(self) -> bool:
        """True while there is a run to follow."""
        found = self._active()
        for directory, record in found:
            try:
                self._follow(directory, record)
            except (
                Exception
            ) as error:  # one run's trouble, or the cluster's, must not keep the others waiting
                traceback.print_exc()
                self.clusters.pop(record["address"], None)
                note(directory, record, problem=_problem(error, record["address"]))
        return bool(found)

    def _active(self) -> list[tuple[Path, dict[str, Any]]]:
        """Folder and record of each run to follow, in launch order."""
        found = []
        for directory in runs_directory().glob("*/"):
            with contextlib.suppress(OSError):
                changed = (directory / "status.json").stat().st_mtime_ns
                if self.idle.get(directory.name) == changed:
                    continue
                record = files.read_record(directory)
                if record.get("engine") == "ray" and record.get("state") in ("queued", "running"):
                    found.append((directory, record))
                else:
                    self.idle[directory.name] = changed
        return sorted(found, key=lambda pair: float(pair[1].get("queued") or 0))

    def _follow(self, directory: Path, record: dict[str, Any]) -> None:
        job, run = record["job"], open_run(directory.name)
        facts = files.read_object(directory / "cluster.json")
        known = facts.get("state") if facts.get("job") == job else None
        if known is None and schedule.stop_requested(directory):
            return end(directory, job, status.CANCELLED)  # it was never sent
        cluster = self._cluster(record["address"])
        info = cluster.info(job)
        if info is None and known in (None, SENDING):
            return self._send(cluster, run, record)
        if info is None:
            return self._settle(cluster, run, record, None)
        problem = ""
        if not record["shared"] and info.status.value != "PENDING":
            try:
                self._repeat(cluster, directory, job, info.status.value in ENDED)
            except (RuntimeError, OSError) as error:
                problem = f"Its progress cannot be read: {_problem(error, record['address'])}"
        note(directory, record, state=info.status.value, node=cluster.node(info), problem=problem)
        if info.status.value in ENDED:
            self._settle(cluster, run, record, info)
        elif schedule.stop_requested(directory) and job not in self.told:
            cluster.stop_job(job)
            self.told.add(job)

    def _cluster(self, address: str) -> Cluster:
        if address not in self.clusters:
            self.clusters[address] = Cluster(address)  # asks it for its version
        return self.clusters[address]

    def _send(self, cluster: Cluster, run: Run, record: dict[str, Any]) -> None:
        note(run.directory, record, state=SENDING)
        try:
            cluster.send(run, record)
        except UserError as error:
            return failures.record_unstartable(run, str(error))
        note(run.directory, record, state="PENDING")

    def _repeat(self, cluster: Cluster, directory: Path, job: str, last: bool) -> None:
        """Write here what the job printed about its small files since the last time."""
        at, start = self.read.get(job, (0.0, 0))
        if time.monotonic() < at and not last:
            return
        text = cluster.get_job_logs(job)
        pause = max(2.0, len(text) / 200_000)  # it comes whole every time: the longer, the rarer
        whole = text.rfind("\n") + 1
        self.read[job] = (time.monotonic() + pause, whole)
        told = ray_mirror.repeat(text[start:whole], directory, first=start == 0)
        if told.get("state") == "running":
            change(directory, job, told)
        elif told:
            storage.write_json(directory / ray_mirror.END, told)

    def _settle(self, cluster: Cluster, run: Run, record: dict[str, Any], info: JobDetails | None) -> None:
        """The job has ended: fetch its files, and record how it ended unless the node did."""
        job, directory = record["job"], run.directory
        away = not record["shared"] and info is not None and info.driver_node_id
        if away and info is not None and not self._fetched(cluster, run, record, info):
            return
        told = files.read_object(directory / ray_mirror.END)
        if told.get("job") == job and told.get("state") in status.ENDED:
            end(directory, job, told)
            (directory / ray_mirror.END).unlink(missing_ok=True)
        elif time.monotonic() - self.ended.setdefault(job, time.monotonic()) > SETTLE_SECONDS:
            end(directory, job, _how_it_ended(run, info))

    def _fetched(self, cluster: Cluster, run: Run, record: dict[str, Any], info: JobDetails) -> bool:
        """Have a thread fetch the run's files; True when they have come, or will not."""
        job = record["job"]
        if job not in self.fetching:
            note(run.directory, record, fetching=True)
            self.fetching[job] = self.pool.submit(
                lambda: ray_mirror.unpack(cluster.fetch(run.id, info), run.directory)
            )
        if not self.fetching[job].done():
            return False
        if error := self.fetching[job].exception():  # the node may be gone with everything on it
            print(f"Fetching the files of {run.id}: {error!r}", flush=True)
            self.tries[job] = self.tries.get(job, 0) + 1
            if self.tries[job] < FETCH_TRIES:
                del self.fetching[job]
                return False
            if self.tries[job] == FETCH_TRIES:
                _log(run.directory, f"Its files could not be fetched from the node: {error}")
        note(run.directory, record, fetching=False)
        return True


def note(directory: Path, record: dict[str, Any], **facts: Any) -> None:
    """Write `cluster.json` when something in it is new."""
    old = files.read_object(directory / "cluster.json")
    if old.get("job") != record["job"]:
        old = {}
    new = old | {"job": record["job"], "address": record["address"], "problem": ""} | facts
    if {**new, "heard": 0} != {**old, "heard": 0} and directory.is_dir():
        heard = old.get("heard") if facts.get("problem") else time.time()
        storage.write_json(directory / "cluster.json", new | {"heard": heard})


def end(directory: Path, job: str, changes: dict[str, Any]) -> None:
    """Record how an attempt ended, unless that is recorded already."""
    change(directory, job, {"ended": time.time()} | changes)


def change(directory: Path, job: str, changes: dict[str, Any]) -> None:
    """Change the record of an attempt that has not ended; what belongs to this side of it stays."""
    with queue.transaction():
        record = files.read_record(directory)
        if record.get("job") == job and record.get("state") in ("queued", "running"):
            ours = {name: record[name] for name in ("engine", "job", "address", "shared") if name in record}
            files.write_record(directory, record | changes | ours)


def _how_it_ended(run: Run, info: JobDetails | None) -> dict[str, Any]:
    """A job that ended without a record of its own."""
    record = files.read_record(run.directory)
    node = files.read_object(run.directory / "cluster.json").get("node") or "its node"
    if schedule.stop_requested(run.directory):
        started = record.get("state") == "running"
        return schedule.forced_stop(run.directory) if started else status.CANCELLED
    if info is None:
        reason = "The cluster no longer knows it: it was restarted meanwhile."
        return {"state": "interrupted", "reason": reason, "remedy": status.RESUME}
    if info.status.value == "SUCCEEDED":
        reason = f"It ended on {node}, but how could not be fetched from there."
        return {"state": "interrupted", "reason": reason, "remedy": status.RESUME}
    message = " ".join(str(info.message or "").split())
    if record.get("state") == "queued":
        _log(run.directory, str(info.message))
        reason = f"The cluster could not start it: {message[-300:]}"
        return failures.failed(reason, failures.LOG_REMEDY, "start")
    reason = f"Its process on {node} ended without saying why ({info.status.value.lower()}: {message[:200]})."
    return {"state": "killed", "reason": reason, "remedy": status.RESUME}


def _log(directory: Path, text: str) -> None:
    with open(directory / "train.log", "a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")


def _problem(error: Exception, address: str) -> str:
    text = " ".join(str(error).split())[:160]
    if isinstance(error, UserError):
        return text
    if "uthenticat" in type(error).__name__ + text:
        return (
            f"The cluster at {address} refuses us: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "~/.ray/auth_token) to its token."
        )
    if isinstance(error, ConnectionError | OSError):
        return (
            f"The cluster at {address} does not answer; asking again. A run that had begun may go on there."
        )
    return f"The cluster at {address} says: {text}"


def main() -> int:
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        os.environ.pop(name, None)  # they would override the run's own address
    idle = float(os.environ.get("FER_DISPATCHER_IDLE") or 60)
    lock = locks.hold_patiently(FOLLOWER_LOCK)
    if lock is None:
        return 0  # another one follows
    follower, busy_at = Follower(), time.monotonic()
    try:
        while time.monotonic() - busy_at < idle:
            if follower.step():
                busy_at = time.monotonic()
            time.sleep(POLL)
    finally:
        lock.release()
        follower.pool.shutdown(wait=False, cancel_futures=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
