"""Logs a training to an MLflow server too, when `MLFLOW_TRACKING_URI` names one; otherwise imports nothing.

The client works in a thread of its own: a server that is slow or down costs the training nothing but a
line in its log. What could not be sent is tried again after the next epoch and once more at the end.
"""

import contextlib
import importlib.util
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError

URI = "MLFLOW_TRACKING_URI"
EXPERIMENT = "FER-2013"
ARTIFACTS = (
    "config.json", "environment.json", "model.json", "history.csv", "best.json", "best.keras",
    "splits.npz", "predictions.npz", "report.json", "train.log",
)  # fmt: skip
WAIT = {"FINISHED": 60.0, "FAILED": 5.0, "KILLED": 2.0}  # seconds at the end; a Stop has 7 in all
LONGEST_VALUE = 500

Task = Callable[[], None]


class Tracker:
    """What `fit` tells about one training: `add` after each epoch, `finish` once. Neither ever raises.

    `mlflow.json` in the run's directory keeps the id of the MLflow run and how many epochs it has, so a
    resumed training goes on in the same one.
    """

    def __init__(self, directory: Path, config: dict[str, Any]):
        self.directory, self.config = directory, config
        self.active = bool(os.environ.get(URI))
        if self.active and importlib.util.find_spec("mlflow") is None:
            say(
                f"{URI} is set, but its client is not installed: pip install -r requirements-mlflow.txt. "
                "This run is not logged there."
            )
            self.active = False
        if not self.active:
            return
        self.rows: list[dict[str, Any]] = []
        self.failing = False
        self.client: Any = None
        self.run = ""
        self.logged = 0
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self.thread.start()
        self.tasks.put(self._send)

    def add(self, row: dict[str, Any]) -> None:
        """A completed epoch, with its row of the history; what the server has is not sent again."""
        if self.active:
            self.rows.append(row)
            self.tasks.put(self._send)

    def finish(self, state: str, metrics: dict[str, Any] | None = None) -> None:
        """The end: `FINISHED`, `FAILED` or `KILLED` (stopped). Waits a moment for what is to be sent."""
        if not self.active:
            return
        self.tasks.put(lambda: self._end(state, metrics or {}))
        self.tasks.put(None)
        self.thread.join(WAIT[state])
        if self.thread.is_alive():
            say(
                f"MLflow at {server()} took longer than {WAIT[state]:.0f} s; it may lack the end of this run."
            )

    def _work(self) -> None:
        """The thread: one task after the other; what fails is told once and tried again by the next."""
        while (task := self.tasks.get()) is not None:
            try:
                task()
                if self.failing:
                    say(f"MLflow at {server()} answers again and has every epoch.")
                self.failing = False
            except Exception as error:  # whatever the client or the server does, the training goes on
                if not self.failing:
                    say(
                        f"MLflow at {server()} did not take this run's figures; the training goes on without "
                        f"it ({type(error).__name__}: {plain(str(error))})."
                    )
                self.failing = True
        if self.failing:
            had = f"{self.logged} of {len(self.rows)} epochs"
            say(f"MLflow at {server()} lacks the end of this run: it has {had}.")

    def _send(self) -> None:
        """Open the MLflow run if need be, and send every epoch it lacks."""
        if self.client is None:
            self._open()
        from mlflow.entities import Metric

        rows = [row for row in self.rows if row["epoch"] > self.logged]
        if not rows:
            return
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, row["epoch"])
            for row in rows
            for name, value in row.items()
            if name != "epoch" and isinstance(value, int | float)
        ]
        for part in range(0, len(metrics), 500):  # the server takes 1,000 at once
            self.client.log_batch(self.run, metrics=metrics[part : part + 500])
        self.logged = rows[-1]["epoch"]
        self._remember()

    def _open(self) -> None:
        """Import the client and find or make the MLflow run."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what we train is nobody else's business
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        known = self._remembered()
        if known.get("uri") == server():
            client.update_run(known["run"], status="RUNNING")
            self.run, self.logged = known["run"], int(known["epochs"])
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            found = client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else client.create_experiment(name)
            self.run = client.create_run(experiment, run_name=self._name()).info.run_id
            values = [Param(key, value) for key, value in flat(self.config).items()]
            for part in range(0, len(values), 100):  # the server takes 100 at once
                client.log_batch(self.run, params=values[part : part + 100])
            tags = {"fer.run": self.directory.name, "recipe": str(self.config.get("recipe") or "")}
            client.log_batch(self.run, tags=[RunTag(key, value) for key, value in tags.items()])
            self._remember()
        self.client = client  # last: whatever failed above is done again

    def _end(self, state: str, metrics: dict[str, Any]) -> None:
        self._send()
        for name, value in metrics.items():
            if isinstance(value, int | float):
                self.client.log_metric(self.run, f"final_{name}", float(value))
        for name in ARTIFACTS:
            if (self.directory / name).exists():
                self.client.log_artifact(self.run, str(self.directory / name))
        self.client.set_terminated(self.run, state)

    def _name(self) -> str:
        with contextlib.suppress(OSError, UserError):
            return str(storage.read_json(self.directory / "labels.json").get("name") or self.directory.name)
        return self.directory.name

    def _remember(self) -> None:
        content = {"uri": server(), "run": self.run, "epochs": self.logged}
        storage.write_json(self.directory / "mlflow.json", content)

    def _remembered(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, UserError):
            return dict(storage.read_json(self.directory / "mlflow.json"))
        return {}


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"phases.0.epochs": "20"}`: every value of a nested config as text."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = dict(enumerate(value))
        if isinstance(value, dict) and value:
            found |= flat({str(name): item for name, item in value.items()}, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value)[:LONGEST_VALUE]
    return found


def server() -> str:
    """The server's address without the password it may hold."""
    return plain(os.environ.get(URI, ""))


def plain(text: str) -> str:
    """One line of `text`, at most 200 characters, without passwords in addresses."""
    return re.sub(r"//[^/@\s]+@", "//", " ".join(text.split()))[:200]


def say(text: str) -> None:
    """A line in the log of the training."""
    with contextlib.suppress(OSError):
        print(time.strftime("%Y-%m-%d %H:%M:%S"), text, file=sys.stderr, flush=True)
