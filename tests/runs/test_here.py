"""Runs in the foreground: the same work, locks and truth; Ctrl-C stops gracefully."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fer import runs, storage
from fer.errors import UserError
from tests.runs.runkit import as_in_a_terminal, events, running, start, until

HERE = (
    "import sys, json; from fer import runs; config = json.loads(sys.argv[1]);"
    "run = runs.create_run(config); print(run.id, flush=True);"
    "found = runs.run_here(run, lambda fraction, text: print(text, file=sys.stderr));"
    "print(found.state, found.reason, sep='|', flush=True)"
)


def in_a_terminal(config: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HERE, config],
        env={**os.environ, "PYTHONPATH": str(storage.PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    )


def test_run_here_does_the_work_in_this_process():
    seen = []
    run = runs.create_run({"epochs": 2, "seconds": 0.02, "environment": 1})
    before = dict(os.environ)
    found = runs.run_here(run, lambda fraction, text: seen.append((fraction, text)))
    assert found.state == "finished"
    assert found.epoch == 2
    assert any("epoch 2" in text for _, text in seen)
    assert all(0 <= fraction <= 1 for fraction, _ in seen)
    assert dict(os.environ) == before
    environment = storage.read_json(run.directory / "environment.json")
    assert environment == {"CUDA_VISIBLE_DEVICES": "-1", "FER_DEVICE": "cpu", "FER_RUN": run.id}
    with pytest.raises(UserError, match="finished"):
        runs.run_here(run)


def test_a_failure_here_is_recorded_with_its_traceback_in_the_log():
    run = runs.create_run({"raise": "bug"})
    found = runs.run_here(run)
    assert (found.state, found.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert "Traceback" in run.log_tail()


def test_ctrl_c_stops_gracefully_and_resume_goes_on_in_the_background():
    terminal = in_a_terminal('{"epochs": 1000, "seconds": 0.05}')
    run = runs.open_run(terminal.stdout.readline().strip())
    until(lambda: run.status().epoch >= 2)
    assert run.status().pid == terminal.pid
    with pytest.raises(UserError, match="running already"):
        runs.run_here(run)
    os.killpg(terminal.pid, signal.SIGINT)
    output, _ = terminal.communicate(timeout=20)
    assert output.startswith("stopped|Stopped with Ctrl-C after epoch")
    assert terminal.returncode == 0
    found = run.status()
    assert found.state == "stopped"
    runs.resume(run)
    until(lambda: run.status().epoch > found.epoch)
    runs.stop(run)


def test_stop_from_the_dashboard_ends_the_run_but_not_its_shell():
    terminal = in_a_terminal('{"epochs": 1000, "seconds": 0.05}')
    run = runs.open_run(terminal.stdout.readline().strip())
    until(lambda: run.status().state == "running")
    assert runs.stop(run).state == "stopped"
    output, _ = terminal.communicate(timeout=20)
    assert output.startswith("stopped|Stopped by you")
    assert terminal.returncode == 0


def test_killed_in_the_foreground_is_killed():
    terminal = in_a_terminal('{"epochs": 1000, "seconds": 0.05}')
    run = runs.open_run(terminal.stdout.readline().strip())
    until(lambda: run.status().state == "running")
    terminal.kill()
    terminal.communicate()
    assert run.status().state == "killed"
    assert runs.wait(start(epochs=1), 20).state == "finished"


def test_it_waits_for_its_device_and_keeps_its_place(tmp_path):
    log = tmp_path / "events"
    first = running()
    terminal = in_a_terminal(f'{{"epochs": 1, "events": "{log}"}}')
    here = runs.open_run(terminal.stdout.readline().strip())
    until(lambda: here.status().position == 1)
    behind = start(epochs=1, events=str(log))
    time.sleep(0.5)
    assert here.status().state == "queued"
    runs.stop(first)
    assert runs.wait(behind, 20).state == "finished"
    assert terminal.communicate(timeout=20)[0].startswith("finished|")
    assert [run for _, what, run, *_ in events(log) if what == "start"] == [here.id, behind.id]


def test_ctrl_c_while_it_waits_leaves_the_queue():
    first = running()
    terminal = in_a_terminal('{"epochs": 1}')
    here = runs.open_run(terminal.stdout.readline().strip())
    until(lambda: here.status().position == 1)
    os.killpg(terminal.pid, signal.SIGINT)
    terminal.communicate(timeout=20)
    assert here.status().state == "stopped"
    assert here.status().reason == "Cancelled before it started."
    waiting = in_a_terminal('{"epochs": 1}')
    gone = runs.open_run(waiting.stdout.readline().strip())
    until(lambda: gone.status().position == 1)
    waiting.kill()
    waiting.communicate()
    behind = start(epochs=1)
    runs.stop(first)
    assert runs.wait(behind, 20).state == "finished", "a dead waiter keeps nobody waiting"
