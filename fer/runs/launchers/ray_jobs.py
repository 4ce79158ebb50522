"""Ray Jobs as the follower uses them: the only code that imports ray."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray.dashboard.modules.job.pydantic_models import JobDetails
from ray.job_submission import JobSubmissionClient
from ray.util.state import list_nodes

from fer import storage
from fer.errors import UserError
from fer.runs.launchers import ray_node
from fer.runs.launchers.ray import STOP_SECONDS
from fer.runs.run import Run, with_forerunners
from fer.training.records import revision

TIMEOUT = 60.0
FETCH_SECONDS = 600.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
EXCLUDED = [".git", ".venv", ".venv-extras", "cache", "tests", "dashboard", "pages", "**/__pycache__"]
FORWARDED = ("MLFLOW_", "KERAS_BACKEND", "XLA_FLAGS", "TF_", "FER_NODE_CACHE", "FER_MEMORY_LIMIT")
ENTRY = "exec ${FER_PYTHON:-python} -m fer.runs.launchers.ray_node"


class Cluster(JobSubmissionClient):
    """One cluster, through its Jobs server."""

    def __init__(self, address: str):
        super().__init__(address)
        self.address = address
        self.names: dict[str, str] = {}

    def _do_request(self, *arguments: Any, **options: Any) -> Any:
        """Ray's client would wait for ever for a server that does not answer."""
        return super()._do_request(*arguments, **{"timeout": TIMEOUT} | options)

    def info(self, job: str) -> JobDetails | None:
        """What the cluster knows of a job; None when it does not know it."""
        try:
            return self.get_job_info(job)
        except RuntimeError as error:
            if "404" in str(error):
                return None
            raise

    def node(self, info: JobDetails) -> str:
        """The name of the node that was given the job, '' before it was."""
        if not info.driver_node_id:
            return ""
        if info.driver_node_id not in self.names:
            self.names |= {n.node_id: n.node_name or n.node_ip for n in list_nodes(address=self.address)}
        return self.names.get(info.driver_node_id) or host(info)

    def send(self, run: Run, record: dict[str, Any]) -> None:
        """Submit an attempt of a run; the cluster accepts its id once.

        Raises:
            UserError: it asks for a GPU, and no node has one.
        """
        nodes = [node for node in list_nodes(address=self.address) if node.state == "ALIVE"]
        device = str(run.config.get("device") or "auto")
        gpus = sum(node.resources_total.get("GPU", 0) for node in nodes)
        if device.startswith("gpu") and gpus < 1:
            raise UserError(f"It asks for {device}, and no node of the cluster has a GPU.")
        share: dict[str, Any] = {"entrypoint_num_gpus": 1}
        if device == "cpu" or gpus < 1:
            # One run a node's processor: as many CPUs as the smallest node has.
            processors = min((node.resources_total.get("CPU", 0) for node in nodes), default=1)
            device, share = "cpu", {"entrypoint_num_cpus": max(processors, 1)}
        order = {
            "run": run.id,
            "record": record,
            "dataset": str(run.config.get("dataset") or ""),
            "device": "gpu" if device.startswith("gpu") else device,
            "shared": str(storage.cache_directory()) if record["shared"] else "",
        }
        variables = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
        variables |= {"FER_REVISION": revision(), "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
        with _parcel(run, order) as folders:
            environment = _environment(order, variables) | ({"py_modules": folders} if folders else {})
            self.submit_job(
                entrypoint=f"{ENTRY} train",
                submission_id=record["job"],
                runtime_env=environment,
                metadata={"fer_run": run.id},
                **share,
            )
        print(time.strftime("%Y-%m-%d %H:%M:%S"), f"Sent {record['job']} to {self.address}.", flush=True)

    def fetch(self, run: str, info: JobDetails) -> str:
        """Everything a run left on its node, as `ray_node.fetch` prints it in a small job there.

        Raises:
            UserError: that job failed; the node may be gone.
        """
        kept = {name: value for name, value in os.environ.items() if name == "FER_NODE_CACHE"}
        job = self.submit_job(
            entrypoint=f"{ENTRY} fetch",
            runtime_env=_environment({"run": run}, kept),
            metadata={"fer_fetches": run},
            entrypoint_resources={f"node:{host(info)}": 0.001},
        )
        deadline = time.monotonic() + FETCH_SECONDS
        while (state := self.get_job_status(job).value) not in ENDED and time.monotonic() < deadline:
            time.sleep(0.5)
        if state != "SUCCEEDED":
            with contextlib.suppress(Exception):
                self.stop_job(job)
            raise UserError(f"The job that fetches the files of {run} {state.lower()}.")
        text = str(self.get_job_logs(job))
        with contextlib.suppress(Exception):
            self.delete_job(job)
        return text


def host(info: JobDetails) -> str:
    """The address of a job's node."""
    return str(info.driver_agent_http_address or "").partition("//")[2].rpartition(":")[0]


def _environment(order: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    """Ray's runtime environment: this code, as it is here now, and the order."""
    own = {ray_node.ORDER: json.dumps(order), "PYTHONUNBUFFERED": "1"}
    return {"working_dir": str(storage.PROJECT), "excludes": EXCLUDED, "env_vars": variables | own}


@contextlib.contextmanager
def _parcel(run: Run, order: dict[str, Any]) -> Iterator[list[str]]:
    """Folders that travel with the job: the data set as it lies here, and what else the run reads."""
    if order["shared"]:
        yield []
        return
    cache = storage.cache_directory()
    with tempfile.TemporaryDirectory(prefix=storage.STAGING_PREFIX, dir=cache) as staging:
        parcel = Path(staging) / f"{ray_node.PARCEL}-{run.id}"
        for source in with_forerunners(run):
            ignored = shutil.ignore_patterns("status.json", f"{storage.STAGING_PREFIX}*")
            shutil.copytree(source.directory, parcel / "runs" / source.directory.name, ignore=ignored)
        selections = cache / "selections" / order["dataset"]
        if run.config.get("selection") and selections.is_dir():
            shutil.copytree(selections, parcel / "selections" / order["dataset"])
        yield [str(cache / "datasets" / order["dataset"]), str(parcel)]
