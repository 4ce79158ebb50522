"""From created to ended, with real processes: what each verb does and what the student reads."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from fer import runs
from fer.errors import UserError
from tests.runs.runkit import events, running, start, until


def test_a_run_is_done_by_a_detached_process_of_its_own_and_leaves_its_files():
    run = running(seconds=0.3, epochs=3)
    status = run.status()
    trainer = psutil.Process(status.pid)
    assert trainer.pid != os.getpid()
    assert os.getsid(trainer.pid) == os.getpgid(trainer.pid) == trainer.pid
    assert trainer.nice() == 10
    group = Path(f"/proc/{trainer.pid}/autogroup")
    if group.exists() and group.read_text(encoding="ascii").strip():
        assert group.read_text(encoding="ascii").split()[-1] == "10"  # the whole session gives way
    assert "fer.runs.worker" in " ".join(trainer.cmdline())
    ended = runs.wait(run, 20)
    assert (ended.state, ended.epoch, ended.epochs, ended.pid) == ("finished", 3, 3, None)
    assert ended.created <= ended.queued <= ended.started <= ended.ended
    assert 0.9 <= ended.seconds < 10
    assert run.metrics()["accuracy"] == 0.5
    assert run.best() == {"val_accuracy": 0.12, "epoch": 3}
    assert run.history()["val_accuracy"].tolist() == [0.1, 0.11, 0.12]
    assert "Starting on the CPU" in run.log_tail()
    assert not (run.directory / "reserve").exists()


def test_submitting_twice_starts_once(tmp_path):
    log = tmp_path / "events"
    run = start(seconds=1.0, epochs=1, events=str(log))
    for _ in range(5):
        assert runs.submit(run).state in ("queued", "running")
        time.sleep(0.1)
    assert runs.wait(run, 20).state == "finished"
    assert [what for _, what, *_ in events(log)] == ["start", "end"]
    with pytest.raises(UserError, match="has finished"):
        runs.submit(run)


def test_the_same_request_makes_one_run():
    first = runs.create_run({"epochs": 1}, request="click 1")
    assert runs.create_run({"epochs": 1}, request="click 1").id == first.id
    assert runs.create_run({"epochs": 1}, request="click 2").id != first.id
    runs.remove(first)
    assert runs.create_run({"epochs": 1}, request="click 1").id != first.id


def test_a_double_click_is_one_wish_and_a_later_click_another():
    config = {"epochs": 1, "rate": 0.1}
    first = runs.create_run(config, name="Mine", repeat_after=60)
    assert runs.create_run(dict(reversed(config.items())), name="Mine", repeat_after=60).id == first.id
    assert runs.create_run(config | {"rate": 0.2}, repeat_after=60).id != first.id
    with pytest.raises(UserError, match="already called"):
        runs.create_run(config | {"rate": 0.2}, name="Mine", repeat_after=60)
    unnamed = runs.create_run(config, repeat_after=60)
    assert unnamed.id != first.id
    time.sleep(0.6)
    assert runs.create_run(config, repeat_after=0.5).id != unnamed.id


def test_stop_keeps_what_was_reached_and_resume_goes_on_from_there():
    run = running(seconds=0.1)
    until(lambda: run.status().epoch >= 2)
    before = time.monotonic()
    status = runs.stop(run)
    assert time.monotonic() - before < 10
    assert status.state == "stopped"
    assert status.reason == f"Stopped by you after epoch {status.epoch}."
    assert "Resume" in status.remedy
    reached = status.epoch
    runs.resume(run)
    until(lambda: run.status().epoch >= reached + 2)
    ended = runs.stop(run, wait=False)
    until(lambda: run.status().state == "stopped")
    epochs = run.history()["epoch"].tolist()
    assert epochs == list(range(len(epochs)))
    assert run.status().seconds > status.seconds, "attempts are added up"
    assert ended.state in ("running", "stopped")
    assert runs.stop(run).state == "stopped", "stopping twice changes nothing"


def test_queued_runs_can_be_cancelled_moved_and_paused():
    first = running()
    second, third, fourth = (start() for _ in range(3))
    assert [run.status().position for run in (second, third, fourth)] == [1, 2, 3]
    runs.move(fourth, 1)
    assert [run.status().position for run in (second, third, fourth)] == [2, 3, 1]
    runs.pause(fourth)
    assert fourth.status().paused
    assert fourth.status().state == "queued"
    status = runs.cancel(third)
    assert (status.state, status.reason) == ("stopped", "Cancelled before it started.")
    with pytest.raises(UserError, match="running"):
        runs.move(first, 1)
    with pytest.raises(UserError, match="running"):
        runs.cancel(first)
    runs.stop(first)
    assert runs.wait(second, 20).state == "finished"
    assert fourth.status().state == "queued", "a paused run lets others pass and waits"
    runs.pause(fourth, paused=False)
    assert runs.wait(fourth, 20).state == "finished"
    assert third.status().state == "stopped"


def test_the_whole_queue_can_be_paused():
    runs.pause()
    run = start(epochs=1)
    time.sleep(1.5)
    status = run.status()
    assert (status.state, status.reason) == ("queued", "The queue is paused.")
    runs.pause(paused=False)
    assert runs.wait(run, 20).state == "finished"


ENDINGS = [
    ("user", "failed", "settings", "The batch size is 0; it must be at least 1.", "Use 32."),
    ("memory", "failed", "out_of_memory", "more memory", "Halve the batch"),
    ("exhausted", "failed", "out_of_memory", "more memory", "Halve the batch"),
    ("bug", "failed", "exception", "ZeroDivisionError: division by zero", "log"),
    ("import", "failed", "exception", "No module named 'nothing'", "log"),
    ("disk", "failed", "disk_full", "The disk is full: could not write", "Free some space"),
    ("exit", "failed", "exit", "exit code 3", "log"),
    ("sysexit", "failed", "exception", "SystemExit: 4", "log"),
    ("crash", "failed", "crash", "crashed (SIGSEGV)", "log"),
    ("sigterm", "stopped", "", "asked to end (SIGTERM)", "Resume"),
]


def test_each_way_to_end_has_its_state_reason_and_remedy(monkeypatch):
    monkeypatch.setenv("FER_FAKE_GPUS", "4")
    started = [start(**{"raise": how}, epochs=50, batch_size=32) for how, *_ in ENDINGS]
    for run, (how, state, error, reason, remedy) in zip(started, ENDINGS, strict=True):
        status = runs.wait(run, 30)
        assert (how, status.state, status.error) == (how, state, error)
        assert reason in status.reason
        assert remedy in status.remedy
        assert status.settings == ({"batch_size": 16} if error == "out_of_memory" else {})
        assert "Traceback" not in status.reason
        assert ("Traceback" in run.log_tail()) == (how not in ("exit", "crash", "sigterm"))


def test_a_gpu_that_is_not_there_is_a_failure_with_its_reason():
    run = start(device="gpu:3")
    status = runs.wait(run, 20)
    assert (status.state, status.error) == ("failed", "device")
    assert "'gpu:3' is not on this computer" in status.reason
    assert "no NVIDIA GPU" in status.reason
    with pytest.raises(UserError, match="'gpu:3' is not on this computer"):
        runs.run_here(runs.create_run({"device": "gpu:3"}))


def test_two_gpus_run_two_runs_and_each_sees_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_FAKE_GPUS", "2")
    pair = [running(environment=1), running(environment=1)]
    waiting = start(environment=1)
    until(lambda: all((run.directory / "environment.json").exists() for run in pair))
    seen = [json.loads((run.directory / "environment.json").read_text()) for run in pair]
    assert [entry["CUDA_VISIBLE_DEVICES"] for entry in seen] == ["0", "1"]
    assert [entry["FER_DEVICE"] for entry in seen] == ["gpu:0", "gpu:1"]
    assert [entry["FER_RUN"] for entry in seen] == [run.id for run in pair]
    assert waiting.status().position == 1
    on_cpu = start(device="cpu", environment=1, epochs=1)
    assert runs.wait(on_cpu, 20).device == "cpu"
    assert json.loads((on_cpu.directory / "environment.json").read_text())["CUDA_VISIBLE_DEVICES"] == "-1"
    runs.stop(pair[1])
    assert runs.wait(waiting, 20).device == "gpu:1"
    runs.stop(pair[0])


def test_a_small_job_does_not_wait_behind_a_training():
    training = running()
    small = start(kind="stub", epochs=1)
    assert runs.wait(small, 20).state == "finished"
    assert training.status().state == "running"
    assert small.status().progress["fraction"] >= 0
    runs.stop(training)


def test_launch_order_is_kept_and_the_slot_is_never_shared(tmp_path):
    log = tmp_path / "events"
    order = [start(epochs=1, events=str(log)) for _ in range(4)]
    for run in order:
        assert runs.wait(run, 30).state == "finished"
    lines = events(log)
    assert [run for _, what, run, *_ in lines if what == "start"] == [run.id for run in order]
    assert [what for _, what, *_ in lines] == ["start", "end"] * 4


def test_wait_gives_up_at_its_timeout():
    run = running()
    before = time.monotonic()
    assert runs.wait(run, 0.3).state == "running"
    assert time.monotonic() - before < 3
    assert runs.stop(run).state == "stopped"


def test_usage_is_measured():
    run = running()
    until(lambda: run.usage().get("memory_bytes", 0) > 5_000_000)
    assert run.usage()["peak_memory_bytes"] >= run.usage()["memory_bytes"]
    runs.stop(run)


def test_a_removed_queued_run_never_starts(tmp_path):
    first = running()
    log = tmp_path / "events"
    second = start(events=str(log))
    runs.remove(second)
    runs.stop(first)
    time.sleep(1.0)
    assert not log.exists()
    assert not Path(second.directory).exists()
    assert runs.restore(second.id).status().state == "stopped"
