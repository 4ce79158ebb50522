"""Engines that start runs, behind four functions. `local` is this machine; clusters are extras.

`FER_ENGINE` names the engine for new runs. Nothing of another engine is imported until it is named.
"""

import importlib
import os
from typing import Protocol, cast

from fer.errors import UnknownName
from fer.runs.run import Run
from fer.runs.status import RunStatus

ENGINES: dict[str, str] = {"local": "fer.runs.launchers.local"}


class Launcher(Protocol):
    """What an engine can do. Each function may be asked twice: the second time changes nothing."""

    def submit(self, run: Run) -> RunStatus: ...

    def status(self, run: Run) -> RunStatus: ...

    def stop(self, run: Run) -> RunStatus: ...

    def logs(self, run: Run, lines: int = 50) -> str: ...


def launcher(engine: str | None = None) -> Launcher:
    """The engine of that name, by default the one `FER_ENGINE` names, else `local`."""
    engine = engine or os.environ.get("FER_ENGINE") or "local"
    if engine not in ENGINES:
        raise UnknownName("engine", engine, sorted(ENGINES))
    return cast(Launcher, importlib.import_module(ENGINES[engine]))
