"""Engines that start runs, behind four functions. `local` is this machine; clusters are extras.

`FER_ENGINE` names the engine for new runs. Nothing of another engine is imported until it is named.
"""

import importlib
import os
from typing import Protocol, cast

from fer.errors import UnknownName
from fer.runs.files import read_record
from fer.runs.run import Run, open_run
from fer.runs.status import RunStatus

ENGINES: dict[str, str] = {"local": "fer.runs.launchers.local"}


class Launcher(Protocol):
    """What an engine can do. Each function may be asked twice: the second time changes nothing."""

    def submit(self, run: Run) -> RunStatus: ...

    def status(self, run: Run) -> RunStatus: ...

    def stop(self, run: Run, wait: bool = True) -> RunStatus: ...

    def logs(self, run: Run, lines: int = 50) -> str: ...


def submit(run: Run | str) -> RunStatus:
    """Hand a run to the engine; asking again while it waits or runs changes nothing.

    Raises:
        UserError: it has finished, its config is damaged, or the engine cannot be used.
    """
    return launcher().submit(open_run(run))


def stop(run: Run | str, wait: bool = True) -> RunStatus:
    """End a run, within 10 s with everything it started; best model, history and state are kept.

    Args:
        wait: return when it has ended; False returns at once and its supervisor sees to the rest.
    """
    run = open_run(run)
    return launcher(engine_of(run)).stop(run, wait)


def engine_of(run: Run) -> str:
    """The engine a run was submitted to."""
    return str(read_record(run.directory).get("engine") or "local")


def launcher(engine: str | None = None) -> Launcher:
    """The engine of that name, by default the one `FER_ENGINE` names, else `local`."""
    engine = engine or os.environ.get("FER_ENGINE") or "local"
    if engine not in ENGINES:
        raise UnknownName("engine", engine, sorted(ENGINES))
    return cast(Launcher, importlib.import_module(ENGINES[engine]))
