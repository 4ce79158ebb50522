"""Real trainings on a real Ray cluster of two nodes, whose GPUs are logical (see `ray_cluster`)."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fer import runs, storage
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.recipes import recipe_config
from fer.runs import files, launchers
from tests.extras.ray_cluster import ADDRESS, NODES, TOKEN, Cluster, only_loopback
from tests.runs.runkit import engine_processes, until

PATIENCE = 400.0  # seconds; all of it takes about two minutes on two idle cores


@pytest.fixture(scope="module")
def cluster():
    assert only_loopback(), "run this with: python tests --extras"
    found = Cluster(TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    found.start()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def engine(cache, monkeypatch):
    """The engine `ray`, as settings in the environment; nothing that talks to the cluster is left behind."""
    for name, value in {
        "FER_ENGINE": "ray",
        "FER_RAY_ADDRESS": ADDRESS,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("FER_RAY_SHARED", "FER_TEST_JOBS", "FER_NODE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    yield
    for process in followers(cache):
        process.kill()


def followers(cache) -> list[psutil.Process]:
    return engine_processes(cache, "ray_follower")


def training(dataset: Dataset, **settings: object) -> runs.Run:
    config = recipe_config(
        "baseline_cnn", dataset.fingerprint, precision="float32", limit=64, batch_size=32, **settings
    )
    return runs.create_run(config.to_json(), recipe="baseline_cnn")


SUBMIT = "import sys; from fer import runs; [runs.submit(run) for run in sys.argv[1:]]"


def test_three_trainings_on_two_nodes_without_a_shared_folder(cluster, demo_dataset: Dataset, cache):
    """Two at once on different nodes, the third waits; whoever sent and followed them dies meanwhile."""
    three = [training(demo_dataset, epochs=3) for _ in range(3)]
    # Sent by a process that is gone at once, as a dashboard that is closed.
    subprocess.run(
        [sys.executable, "-c", SUBMIT, *(run.id for run in three)],
        cwd=storage.PROJECT,
        check=True,
        timeout=300,
    )
    seen: list[tuple[tuple[str, str], ...]] = []

    def two_train() -> bool:
        seen.append(tuple((found.state, found.node) for found in (run.status() for run in three)))
        return sum(state == "running" for state, _ in seen[-1]) == 2

    until(two_train, PATIENCE, "two trainings at once")
    running = {node for state, node in seen[-1] if state == "running"}
    assert running == set(NODES), seen[-1]
    assert [state for state, _ in seen[-1]].count("queued") == 1
    waiting = next(run for run in three if run.status().state == "queued")
    assert "until a GPU or a processor is free" in waiting.status().reason
    with pytest.raises(UserError, match="in the cluster"):
        runs.move(waiting, 1)
    for process in followers(cache):
        os.kill(process.pid, signal.SIGKILL)
    for run in three:
        until(lambda run=run: not run.status().active, PATIENCE, f"the end of {run.id}")
    for run in three:
        found = run.status()
        assert (found.state, found.epoch, found.epochs) == ("finished", 3, 3), (found, run.log_tail())
        assert found.node in NODES
        assert found.where == f"cpu on {found.node}"  # its GPU was a logical one
        assert run.history()["epoch"].tolist() == [1, 2, 3]
        assert run.metrics()["accuracy"] is not None
        assert "no GPU" in run.log_tail() or run.log_tail()
        from fer.models.loading import load_model

        assert load_model(run.directory / "best.keras").input_shape == (None, 48, 48, 1)
    first, second, third = sorted(
        (files.read_record(run.directory) for run in three), key=lambda record: record["started"]
    )
    assert second["started"] < first["ended"], "two at once"
    assert third["started"] >= min(first["ended"], second["ended"]), "never three on two GPUs"
    with pytest.raises(UserError, match="finished"):
        runs.submit(three[0])


def test_stop_and_resume_with_a_shared_folder(cluster, demo_dataset: Dataset, monkeypatch):
    monkeypatch.setenv("FER_RAY_SHARED", "yes")
    run = training(demo_dataset, epochs=500)
    runs.submit(run)
    until(lambda: run.status().epoch >= 1, PATIENCE, "the first epoch")
    trainer = psutil.Process(files.read_record(run.directory)["process"]["pid"])
    before = time.monotonic()
    found = runs.stop(run)
    assert found.state == "stopped", found
    assert time.monotonic() - before < 30
    until(lambda: not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE, 5, "its end")
    assert found.reason.startswith("Stopped by you")
    reached = found.epoch
    assert len(run.history()) == reached >= 1
    assert (run.directory / "best.keras").exists()
    runs.resume(run)
    until(lambda: run.status().epoch > reached, PATIENCE, "an epoch after Resume")
    runs.stop(run)
    epochs = run.history()["epoch"].tolist()
    assert epochs == list(range(1, len(epochs) + 1))
    record = files.read_record(run.directory)
    assert (record["engine"], record["attempt"], record["job"]) == ("ray", 2, f"{run.id}-2")


def test_a_job_that_the_cluster_no_longer_knows_is_interrupted(cluster, demo_dataset: Dataset):
    run = training(demo_dataset, epochs=1)
    record = {"state": "running", "engine": "ray", "job": "gone-1", "address": ADDRESS, "shared": True}
    files.write_record(run.directory, record)
    storage.write_json(run.directory / "cluster.json", {"job": "gone-1", "state": "RUNNING", "node": "n"})
    until(lambda: run.status().state == "interrupted", PATIENCE, "the truth")
    assert "restarted" in run.status().reason
    assert run.status().resumable


def test_a_wrong_token_is_told_and_stop_cancels(cluster, demo_dataset: Dataset, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f0" * 32)
    run = training(demo_dataset, epochs=1)
    runs.submit(run)
    until(lambda: "RAY_AUTH_TOKEN" in run.status().reason, PATIENCE, "a reason")
    found = runs.stop(run)
    assert (found.state, found.reason) == ("stopped", "Cancelled before it started.")


def test_no_cluster_is_one_sentence(demo_dataset: Dataset, monkeypatch):
    monkeypatch.setenv("FER_RAY_ADDRESS", "http://127.0.0.1:9")
    run = training(demo_dataset, epochs=1)
    with pytest.raises(UserError, match=r"No Ray cluster answers at http://127\.0\.0\.1:9"):
        runs.submit(run)
    assert run.status().state == "stopped"
    with contextlib.suppress(UserError):
        launchers.choose("ray", "not a url")
    assert launchers.chosen()["address"] == "http://127.0.0.1:9"
