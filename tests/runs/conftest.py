"""Real processes on a cache of their own: light jobs, and nothing left alive after a test."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.runs.runkit import engine_processes


@pytest.fixture(autouse=True)
def engine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The local engine with the job kinds `train` and `stub` (a small job), both `stub_jobs.work`."""
    monkeypatch.setenv("FER_TEST_JOBS", "stub=tests.runs.stub_jobs:work,train=tests.runs.stub_jobs:work")
    monkeypatch.setenv("FER_DISPATCHER_IDLE", "20")
    for name in ("FER_FAKE_GPUS", "FER_MEMORY_LIMIT", "FER_ENGINE", "FER_VISIBLE_GPUS"):
        monkeypatch.delenv(name, raising=False)
    yield cache
    while found := engine_processes(cache):  # killing one may make another start what was next
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)
