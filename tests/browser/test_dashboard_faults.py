"""The dashboard itself is killed: runs go on, a new one adopts them, the queue keeps its order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fer import runs
from tests.browser import driver
from tests.runs.runkit import as_in_a_terminal, engine_processes, events, until

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def engine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stub trainings, and a queue that this process does not serve: only a dashboard may."""
    monkeypatch.setenv("FER_TEST_JOBS", "train=tests.runs.stub_jobs:work")
    monkeypatch.setenv("PYTHONPATH", str(driver.ROOT))
    monkeypatch.setattr("fer.runs.lifecycle.ensure_dispatcher", lambda: False)
    yield
    while found := engine_processes(cache):
        for process in found:
            process.kill()
        time.sleep(0.05)


@contextmanager
def dashboard(log: Path) -> Iterator[tuple[str, int]]:
    """A dashboard in a group of its own, as a terminal starts it; yields its address and the group."""
    port = driver.free_port()
    command = [sys.executable, str(driver.ROOT / "dashboard"), "--no-browser", "--cpu", "--port", str(port)]
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, preexec_fn=as_in_a_terminal
        )
    try:
        driver._wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, 120)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        end(process.pid, signal.SIGKILL)
        process.wait(20)


def end(group: int, how: signal.Signals) -> None:
    """The signal to all of the dashboard's processes, as Ctrl-C reaches a terminal's group."""
    try:
        os.killpg(group, how)
    except ProcessLookupError:
        return


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_started_in_the_browser_outlives_the_dashboard(how, page: Page, cache: Path, tmp_path: Path):
    run = runs.create_run({"epochs": 100_000, "seconds": 0.1}, name="long")
    with dashboard(tmp_path / "log") as (url, group):
        driver.visit(page, f"{url}/runs")
        page.get_by_role("button", name="Resume").click()
        until(lambda: run.status().state == "running", 60, "the start")
        trainer = run.status().pid
        end(group, how)
        until(lambda: not engine_processes(cache, "dashboard.server"), 20, "the end of the dashboard")
    epoch = run.status().epoch
    until(lambda: run.status().epoch > epoch + 1, 20, "progress without a dashboard")
    with dashboard(tmp_path / "log") as (url, _):
        driver.visit(page, f"{url}/runs")
        expect(page.get_by_test_id("stMain").get_by_text("running", exact=True).last).to_be_visible()
        assert run.status().pid == trainer, "adopted, not started again"
        assert [process.pid for process in engine_processes(cache, "fer.runs.worker")] == [trainer]
        page.get_by_test_id("stBaseButton-secondary").filter(has_text="Stop").click()
        until(lambda: run.status().state == "stopped", 10, "Stop from the new dashboard")


@pytest.mark.quiet
def test_twenty_queued_runs_with_the_dashboard_killed_twice(page: Page, cache: Path, tmp_path: Path):
    """Each runs once, in order, never two in a slot, at most 2 s idle between."""
    log = tmp_path / "events"
    order = []
    for _ in range(20):
        order.append(runs.create_run({"epochs": 1, "seconds": 0.3, "events": str(log)}))
        runs.submit(order[-1])
    for done in (4, 12):
        with dashboard(tmp_path / "log") as (url, group):
            driver.visit(page, url)
            until(lambda done=done: log.exists() and len(events(log)) >= 2 * done, 90, f"{done} runs")
            end(group, signal.SIGKILL)
    for run in order:
        assert runs.wait(run, 90).state == "finished"
    lines = events(log)
    assert [run for _, what, run, *_ in lines if what == "start"] == [run.id for run in order]
    assert [what for _, what, *_ in lines] == ["start", "end"] * 20, "never two at once"
    starts, ends = ([line[0] for line in lines if line[1] == what] for what in ("start", "end"))
    idle = [start - end_ for start, end_ in zip(starts[1:], ends[:-1], strict=True)]
    assert max(idle) < 2.0, [round(seconds, 2) for seconds in idle]
