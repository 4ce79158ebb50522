"""Trainings logged to a real MLflow server on loopback; and what happens while none answers."""

import itertools
import os
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import requests

from fer.data.dataset import Dataset
from fer.training.config import Phase
from fer.training.fit import fit
from fer.training.tracking import URI
from tests.training.conftest import quick, tiny

__all__ = ["tiny"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """`mlflow server` in an environment of its own, on loopback."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [os.environ["FER_MLFLOW_SERVER"], "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.sqlite"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        own = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=kept | own)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.url}/health", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.5)
        pytest.fail((self.folder / "server.log").read_text()[-2000:])

    def stop(self) -> None:
        family = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        for process in reversed(family):
            process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Server(tmp_path_factory.mktemp("mlflow"))
    found.start()
    yield found
    if found.process.poll() is None:
        found.stop()


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setenv(URI, server.url)
    from mlflow.tracking import MlflowClient

    return MlflowClient(server.url)


def logged(client, name: str):
    """The one MLflow run of our run folder `name`."""
    experiment = client.get_experiment_by_name("FER-2013")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`fer.run` = '{name}'")
    return found


def test_parameters_metrics_per_epoch_and_artifacts(client, tiny: Dataset, tmp_path):
    config = quick(tiny, recipe="baseline_cnn", phases=(Phase(epochs=3, learning_rate=2e-3),))
    result = fit(config, tmp_path / "whole")
    run = logged(client, "whole")
    assert run.info.status == "FINISHED"
    assert run.data.params["model"] == "baseline_cnn"
    assert run.data.params["phases.0.learning_rate"] == "0.002"
    assert run.data.params["batch_size"] == "16"
    assert run.data.tags["recipe"] == "baseline_cnn"
    rows = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    names = rows[0].split(",")
    for name in ("loss", "val_accuracy", "val_loss"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in history] == [1, 2, 3]
        expected = [float(row.split(",")[names.index(name)]) for row in rows[1:]]
        assert [metric.value for metric in history] == pytest.approx(expected)
    assert run.data.metrics["final_accuracy"] == pytest.approx(result.metrics["accuracy"])
    files = {item.path: item.file_size for item in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "history.csv", "best.keras", "environment.json", "report.json"} <= set(files)
    assert files["best.keras"] == (tmp_path / "whole" / "best.keras").stat().st_size


def test_a_resumed_training_goes_on_in_the_same_run(client, tiny: Dataset, tmp_path):
    config = quick(tiny, phases=(Phase(epochs=3),))
    asked = iter(range(10_000))
    stopped = fit(config, tmp_path / "parts", should_stop=lambda: next(asked) > 8)
    assert stopped.stopped
    fit(config, tmp_path / "parts")
    run = logged(client, "parts")
    assert run.info.status == "FINISHED"
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
    assert steps == [1, 2, 3]


def test_a_server_that_dies_and_comes_back_costs_a_line_and_no_epoch(
    server, client, tiny: Dataset, tmp_path, capfd
):
    config = quick(tiny, phases=(Phase(epochs=4),))
    fell = []

    def at_each_step() -> bool:
        history = tmp_path / "outage" / "history.csv"
        epochs = len(history.read_text().splitlines()) - 1 if history.exists() else 0
        if epochs == 1 and not fell:
            server.stop()
            fell.append("down")
        if epochs == 3 and fell == ["down"]:
            server.start()
            fell.append("up")
        return False

    fit(config, tmp_path / "outage", should_stop=at_each_step)
    run = logged(client, "outage")
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(set(steps)) == [1, 2, 3, 4]
    assert run.info.status == "FINISHED"


def test_no_server_neither_fails_nor_stalls_a_training(tiny: Dataset, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(URI, f"http://anna:secret@127.0.0.1:{free_port()}")
    config = quick(tiny, phases=(Phase(epochs=2),))
    result = fit(config, tmp_path / "alone")
    assert not result.stopped
    text = capfd.readouterr().err
    (first,) = [line for line in text.splitlines() if "the training goes on without it" in line]
    assert "http://127.0.0.1" in first
    assert "secret" not in text
    assert "has 0 of 2 epochs" in text
    rows = (tmp_path / "alone" / "history.csv").read_text().splitlines()
    assert len(rows) == 3


def test_a_server_that_accepts_and_never_answers_does_not_hold_the_end_up(
    tiny: Dataset, tmp_path, monkeypatch, capfd
):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(URI, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setitem(__import__("fer.training.tracking", fromlist=["WAIT"]).WAIT, "FINISHED", 3.0)
        started = time.monotonic()
        asked: list[float] = []
        fit(
            quick(tiny, phases=(Phase(epochs=2),)),
            tmp_path / "silent",
            should_stop=lambda: bool(asked.append(time.monotonic())),
        )
        assert max(later - earlier for earlier, later in itertools.pairwise(asked)) < 30
        assert time.monotonic() - started < 120
    assert "may lack the end of this run" in capfd.readouterr().err
