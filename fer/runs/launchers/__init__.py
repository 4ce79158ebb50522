"""Engines that start runs, behind four functions. `local` is this machine, `ray` a cluster.

`FER_ENGINE` names the engine for new trainings; without it the choice kept by `choose` decides, and
`local` is the default. Nothing of another engine is imported until it is named. Small jobs (evaluations,
denoising, …) work on what lies here and always run here.
"""

import importlib
import os
from typing import Any, Protocol, cast

from fer import storage
from fer.errors import UnknownName, UserError
from fer.runs.files import read_object, read_record
from fer.runs.run import Run, open_run
from fer.runs.status import RunStatus

ENGINES: dict[str, str] = {"local": "fer.runs.launchers.local", "ray": "fer.runs.launchers.ray"}


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
    run = open_run(run)
    busy = run.status().active
    return launcher(engine_of(run) if busy else None if run.kind == "train" else "local").submit(run)


def resume(run: Run | str) -> RunStatus:
    """Start a run again that ended early; it goes on from its last completed epoch, on any engine."""
    return submit(run)


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
    """The engine of that name, by default the chosen one."""
    engine = engine or chosen()["engine"]
    if engine not in ENGINES:
        raise UnknownName("engine", engine, sorted(ENGINES))
    return cast(Launcher, importlib.import_module(ENGINES[engine]))


def chosen() -> dict[str, Any]:
    """`{engine, address, shared}` for new trainings: `FER_ENGINE`, `FER_RAY_ADDRESS` and `FER_RAY_SHARED`
    where they are set, else what `choose` kept."""
    kept = read_object(_settings())
    shared = os.environ.get("FER_RAY_SHARED")
    return {
        "engine": os.environ.get("FER_ENGINE") or kept.get("engine") or "local",
        "address": os.environ.get("FER_RAY_ADDRESS") or kept.get("address") or "http://127.0.0.1:8265",
        "shared": bool(kept.get("shared")) if shared is None else shared.lower() in ("1", "yes", "true"),
    }


def choose(engine: str, address: str = "", shared: bool = False) -> dict[str, Any]:
    """Keep the engine for new trainings, in `cache/engine.json`; returns what is in force now.

    Args:
        address: of the cluster's Jobs server, such as `http://head:8265`.
        shared: every node sees this cache under the same path.
    """
    if engine not in ENGINES:
        raise UnknownName("engine", engine, sorted(ENGINES))
    if address and not address.startswith(("http://", "https://")):
        raise UserError(f"The address {address[:80]!r} is no URL; give one such as http://127.0.0.1:8265.")
    storage.write_json(_settings(), {"engine": engine, "address": address, "shared": shared})
    return chosen()


def _settings() -> Any:
    return storage.cache_directory() / "engine.json"
