"""Tests that measure a time run alone, and do not wait for ever until nobody else runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import TURN

HOLDER = """
import sys, time
from pathlib import Path
from tests.conftest import turn
folder, name = Path(sys.argv[1]), sys.argv[2]
(folder / f"{name} came").touch()
with turn("quiet" in name, folder):
    (folder / f"{name} in").touch()
    end = time.monotonic() + 120
    while not (folder / f"{name} may go").exists() and time.monotonic() < end:
        time.sleep(0.05)
"""


@pytest.mark.skipif(os.name != "posix", reason="flock is POSIX")
def test_a_quiet_test_waits_for_those_that_run_and_holds_back_those_that_come(tmp_path: Path):
    for file in ("conftest.py", "__init__.py"):
        (tmp_path / file).touch()
    environment = {key: value for key, value in os.environ.items() if key != TURN}
    environment["PYTEST_XDIST_WORKER"] = "gw0"

    def seen(mark: str) -> None:
        end = time.monotonic() + 60
        while not (tmp_path / mark).exists():
            assert time.monotonic() < end, mark
            time.sleep(0.05)

    def start(name: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(tmp_path), name]
        process = subprocess.Popen(command, env=environment)
        seen(f"{name} came")
        return process

    def still_waits(name: str) -> bool:
        time.sleep(0.5)
        return not (tmp_path / f"{name} in").exists()

    def let_go(name: str) -> None:
        (tmp_path / f"{name} may go").touch()

    processes = [start("first"), start("second")]
    seen("first in")
    seen("second in")
    processes.append(start("quiet"))
    assert still_waits("quiet")
    processes.append(start("late"))
    let_go("first")
    assert still_waits("quiet")
    let_go("second")
    seen("quiet in")
    assert still_waits("late")
    let_go("quiet")
    seen("late in")
    let_go("late")
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
