"""`python -m fer.runs.launchers.ray_follower`: sends runs to Ray clusters and writes down how they fare.

The only code that imports ray. One lives at a time, while there is a run to follow; it may be killed at any
moment, for everything it knows is in the runs' folders and in the cluster. A job has the id
`<run>-<attempt>`, which Ray accepts once, so no attempt can start twice.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

from ray.dashboard.modules.job.pydantic_models import JobDetails
from ray.job_submission import JobSubmissionClient
from ray.util.state import list_nodes

from fer import storage
from fer.errors import UserError
from fer.runs import failures, files, locks, queue, schedule, status
from fer.runs.launchers import ray_node
from fer.runs.launchers.ray import FOLLOWER_LOCK, STOP_SECONDS
from fer.runs.run import Run, open_run, runs_directory
from fer.training.records import revision

POLL = 1.0
TIMEOUT = 60.0
SETTLE_SECONDS = 5.0  # a record written on the node may take a moment to be seen through a shared folder
FETCH_TRIES = 3
EXCLUDED = [".git", ".venv", ".venv-extras", "cache", "tests", "dashboard", "pages", "**/__pycache__"]
FORWARDED = ("MLFLOW_", "KERAS_BACKEND", "XLA_FLAGS", "TF_", "FER_NODE_CACHE", "FER_MEMORY_LIMIT")
SENDING = "SENDING"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class Client(JobSubmissionClient):
    """Ray's client, which would wait for ever for a server that does not answer."""

    def _do_request(self, *arguments: Any, **options: Any) -> Any:
        return super()._do_request(*arguments, **{"timeout": TIMEOUT} | options)


class Follower:
    """Looks at each active run of the engine `ray` once a step."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.told: set[str] = set()  # jobs that were asked to stop
        self.ended: dict[str, float] = {}  # jobs whose end was seen without a record, and when
        self.looked: dict[str, tuple[float, float]] = {}  # job: when its log may be read next, and size
        self.idle: dict[str, int] = {}  # folders of runs that are not ours, by the time of their record
        self.tries: dict[str, int] = {}

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
                self.clients.pop(record["address"], None)
                self._note(directory, record, problem=_problem(error, record["address"]))
        return bool(found)

    def _active(self) -> list[tuple[Path, dict[str, Any]]]:
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
        return sorted(found, key=lambda pair: float(pair[1].get("queued") or 0))  # sent in launch order

    def _follow(self, directory: Path, record: dict[str, Any]) -> None:
        job, run = record["job"], open_run(directory.name)
        facts = files.read_object(directory / "cluster.json")
        known = facts.get("state") if facts.get("job") == job else None
        if known is None and schedule.stop_requested(directory):
            return _end(directory, job, status.CANCELLED)  # it was never sent
        client = self._client(record["address"])
        info = self._info(client, job)
        if info is None and known not in (None, SENDING):
            return self._settle(run, record, None)
        if info is None:
            self._note(directory, record, state=SENDING)
            if self._submit(client, run, record):
                self._note(directory, record, state="PENDING")
            return None
        problem = ""
        if not record["shared"] and info.status.value != "PENDING":
            try:
                self._repeat(client, directory, record, info.status.value in ENDED)
            except (RuntimeError, OSError) as error:
                problem = f"Its progress cannot be read: {_problem(error, record['address'])}"
        node = self._node(record["address"], info)
        self._note(directory, record, state=info.status.value, node=node, problem=problem)
        if schedule.stop_requested(directory) and info.status.value not in ENDED and job not in self.told:
            client.stop_job(job)
            self.told.add(job)
        if info.status.value in ENDED:
            self._settle(run, record, info)

    def _client(self, address: str) -> Client:
        if address not in self.clients:
            self.clients[address] = Client(address)
        return self.clients[address]

    def _info(self, client: Client, job: str) -> JobDetails | None:
        """What the cluster knows of a job; None when it does not know it."""
        try:
            return client.get_job_info(job)
        except RuntimeError as error:
            if "404" in str(error):
                return None
            raise

    def _submit(self, client: Client, run: Run, record: dict[str, Any]) -> bool:
        """Send the job; False when the cluster has nothing it could run on."""
        nodes = [node for node in list_nodes(address=record["address"]) if node.state == "ALIVE"]
        device = str(run.config.get("device") or "auto")
        gpus = sum(node.resources_total.get("GPU", 0) for node in nodes)
        wants_gpu = device.startswith("gpu") or (device == "auto" and gpus >= 1)
        if wants_gpu and gpus < 1:
            failures.record_unstartable(run, f"It asks for {device}, and no node of the cluster has a GPU.")
            return False
        order = {
            "run": run.id,
            "record": record,
            "dataset": str(run.config.get("dataset") or ""),
            "device": ("gpu" if device.startswith("gpu") else "auto") if wants_gpu else "cpu",
            "shared": str(storage.cache_directory()) if record["shared"] else "",
        }
        variables = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
        variables |= {ray_node.ORDER: json.dumps(order), "FER_REVISION": revision()}
        variables |= {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), "PYTHONUNBUFFERED": "1"}
        environment: dict[str, Any] = {
            "working_dir": str(storage.PROJECT),
            "excludes": EXCLUDED,
            "env_vars": variables,
        }
        # One run a node's processor: as many CPUs as the smallest node has.
        processors = min((node.resources_total.get("CPU", 0) for node in nodes), default=1)
        share = {"entrypoint_num_gpus": 1} if wants_gpu else {"entrypoint_num_cpus": max(processors, 1)}
        with _parcel(run, order) as folders:
            if folders:
                environment["py_modules"] = folders
            client.submit_job(
                entrypoint="exec ${FER_PYTHON:-python} -m fer.runs.launchers.ray_node train",
                submission_id=record["job"],
                runtime_env=environment,
                metadata={"fer_run": run.id},
                **share,
            )
        print(time.strftime("%Y-%m-%d %H:%M:%S"), f"Sent {record['job']} to {record['address']}.", flush=True)
        return True

    def _node(self, address: str, info: JobDetails) -> str:
        """The name of the node that was given the job, '' before it was."""
        if not info.driver_node_id:
            return ""
        known = self.__dict__.setdefault("nodes", {})
        if info.driver_node_id not in known:
            for node in list_nodes(address=address):
                known[node.node_id] = node.node_name or node.node_ip
        return known.get(info.driver_node_id) or _host(info)

    def _note(self, directory: Path, record: dict[str, Any], **facts: Any) -> None:
        """Write `cluster.json` when something in it is new."""
        old = files.read_object(directory / "cluster.json")
        if old.get("job") != record["job"]:
            old = {}
        new = old | {"job": record["job"], "address": record["address"], "problem": ""} | facts
        if {**new, "heard": 0} != {**old, "heard": 0} and directory.is_dir():
            heard = old.get("heard") if facts.get("problem") else time.time()
            storage.write_json(directory / "cluster.json", new | {"heard": heard})

    def _repeat(self, client: Client, directory: Path, record: dict[str, Any], last: bool) -> None:
        """Write here what the job printed about its small files; of the last words nothing is final yet."""
        at, done = self.looked.get(record["job"], (0.0, 0.0))
        if time.monotonic() < at and not last:
            return
        text = client.get_job_logs(record["job"])
        pause = max(2.0, len(text) / 200_000)  # it is read whole every time: the longer, the rarer
        self.looked[record["job"]] = (time.monotonic() + pause, len(text))
        if len(text) <= done:
            return
        merged: dict[str, str] = {}
        for line in text[int(done) :].splitlines():
            if line.startswith(ray_node.CHANGE):
                with contextlib.suppress(ValueError, zlib.error):
                    changes = json.loads(zlib.decompress(base64.b64decode(line[len(ray_node.CHANGE) :])))
                    log = merged.get("train.log", "") + changes.get("train.log", "")
                    merged |= changes | ({"train.log": log} if log else {})
        end = text.rfind("\n") + 1
        self.looked[record["job"]] = (self.looked[record["job"]][0], end)
        if "train.log" in merged:
            mode = "ab" if done else "wb"
            with open(directory / "train.log", mode) as file:
                file.write(merged.pop("train.log").encode())
        record_text = merged.pop("status.json", "")
        for name, content in merged.items():
            if name in ray_node.SMALL:
                storage.write_text(directory / name, content)
        if record_text:
            with contextlib.suppress(ValueError):
                told = json.loads(record_text)
                if told.get("state") == "running":
                    _write(directory, record["job"], told)
                else:
                    storage.write_json(directory / "cluster-end.json", told)

    def _settle(self, run: Run, record: dict[str, Any], info: JobDetails | None) -> None:
        """The job has ended: fetch its files, and record how it ended unless the node did."""
        job = record["job"]
        if not record["shared"] and info is not None and info.driver_node_id:
            self._note(run.directory, record, fetching=True)
            try:
                self._fetch(record, run.directory, info)
            except Exception as error:  # the node may be gone with everything on it
                traceback.print_exc()
                self.tries[job] = self.tries.get(job, 0) + 1
                if self.tries[job] < FETCH_TRIES:
                    return
                log = run.directory / "train.log"
                with open(log, "a", encoding="utf-8") as file:
                    file.write(f"\nIts files could not be fetched from the node: {error}\n")
            self._note(run.directory, record, fetching=False)
        told = files.read_object(run.directory / "cluster-end.json")
        if told.get("job") == job and told.get("state") in status.ENDED:
            _end(run.directory, job, told)
            (run.directory / "cluster-end.json").unlink(missing_ok=True)
            return
        if files.read_record(run.directory).get("state") not in ("queued", "running"):
            return
        if time.monotonic() - self.ended.setdefault(job, time.monotonic()) > SETTLE_SECONDS:
            _end(run.directory, job, _how_it_ended(run, record, info))

    def _fetch(self, record: dict[str, Any], directory: Path, info: JobDetails) -> None:
        """Everything the run left on its node, through a small job there that prints it."""
        client = self._client(record["address"])
        order = {"run": directory.name}
        job = client.submit_job(
            entrypoint="exec ${FER_PYTHON:-python} -m fer.runs.launchers.ray_node fetch",
            runtime_env={
                "working_dir": str(storage.PROJECT),
                "excludes": EXCLUDED,
                "env_vars": {ray_node.ORDER: json.dumps(order)}
                | {name: value for name, value in os.environ.items() if name == "FER_NODE_CACHE"},
            },
            metadata={"fer_fetches": directory.name},
            entrypoint_resources={f"node:{_host(info)}": 0.001},
        )
        deadline = time.monotonic() + 600
        while (state := client.get_job_status(job).value) not in ENDED and time.monotonic() < deadline:
            time.sleep(0.5)
        if state != "SUCCEEDED":
            with contextlib.suppress(Exception):
                client.stop_job(job)
            raise UserError(f"The job that fetches the files of {directory.name} {state.lower()}.")
        unpack(client.get_job_logs(job), directory)
        with contextlib.suppress(Exception):
            client.delete_job(job)


def unpack(text: str, directory: Path) -> None:
    """Put the files of a printed archive in place, each atomically; the node's record as `cluster-end.json`.

    Raises:
        UserError: the archive is damaged.
    """
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith(ray_node.ARCHIVE)), None)
    if start is None:
        raise UserError("The job that fetches files printed none.")
    size, digest = lines[start].removeprefix(ray_node.ARCHIVE).split()
    content = base64.b64decode("".join(lines[start + 1 :]))[: int(size)]
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError("What came from the node is damaged.")
    with tempfile.TemporaryDirectory(prefix=storage.STAGING_PREFIX, dir=directory.parent) as staging:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(staging, filter="data")
        for path in sorted(Path(staging).rglob("*")):
            if path.is_file():
                name = str(path.relative_to(staging))
                target = directory / ("cluster-end.json" if name == "status.json" else name)
                if name not in ("config.json", "labels.json", "cluster.json"):  # those are ours
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(path, target)


@contextlib.contextmanager
def _parcel(run: Run, order: dict[str, Any]) -> Any:
    """Folders that travel with the job: the data set as it lies here, and what else the run reads."""
    if order["shared"]:
        yield []
        return
    cache = storage.cache_directory()
    needed = [run.id, *filter(None, [str(run.config.get("smote") or "")])]
    with tempfile.TemporaryDirectory(prefix=storage.STAGING_PREFIX, dir=cache) as staging:
        parcel = Path(staging) / f"{ray_node.PARCEL}-{run.id}"
        for other in needed:
            source = open_run(other).directory
            shutil.copytree(
                source, parcel / "runs" / source.name, ignore=shutil.ignore_patterns("status.json")
            )
        selections = cache / "selections" / order["dataset"]
        if run.config.get("selection") and selections.is_dir():
            shutil.copytree(selections, parcel / "selections" / order["dataset"])
        yield [str(cache / "datasets" / order["dataset"]), str(parcel)]


def _how_it_ended(run: Run, record: dict[str, Any], info: JobDetails | None) -> dict[str, Any]:
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
        with open(run.directory / "train.log", "a", encoding="utf-8") as file:
            file.write(f"\n{info.message}\n")
        reason = f"The cluster could not start it: {message[-300:]}"
        return failures.failed(reason, failures.LOG_REMEDY, "start")
    reason = f"Its process on {node} ended without saying why ({info.status.value.lower()}: {message[:200]})."
    return {"state": "killed", "reason": reason, "remedy": status.RESUME}


def _end(directory: Path, job: str, changes: dict[str, Any]) -> None:
    _write(directory, job, {"ended": time.time()} | changes)


def _write(directory: Path, job: str, changes: dict[str, Any]) -> None:
    """Change the record of this attempt; what belongs to this side of it stays."""
    with queue.transaction():
        record = files.read_record(directory)
        if record.get("job") == job and record.get("state") in ("queued", "running"):
            ours = {name: record[name] for name in ("engine", "job", "address", "shared") if name in record}
            files.write_record(directory, record | changes | ours)


def _host(info: JobDetails) -> str:
    """The address of a job's node."""
    return str(info.driver_agent_http_address or "").partition("//")[2].rpartition(":")[0]


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
    return 0


if __name__ == "__main__":
    sys.exit(main())
