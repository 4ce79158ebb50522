"""Making a run: its folder, its id, its name."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs import files, queue
from fer.runs.jobs import check_kind
from fer.runs.run import FORMAT, STARTER, STARTER_NAME, Run, list_runs, open_run, runs_directory


def create_run(
    config: Any,
    kind: str = "train",
    name: str | None = None,
    recipe: str | None = None,
    request: str | None = None,
    repeat_after: float = 0.0,
    fill: Callable[[Path], None] | None = None,
) -> Run:
    """Make a run; `submit` starts it.

    Args:
        config: what the job gets: a dict, or an object with `to_json()`.
        name: what to call it; by default its id.
        recipe: recipe name; by default `config["recipe"]`.
        request: any text that names this one wish. Asked twice with the same text (a page loaded
            again), the run of the first time is returned and none is made.
        repeat_after: seconds within which exactly the same wish (kind, recipe, name and config) is a
            double click, or the same click in two tabs: the run of the first is returned.
        fill: puts files into the folder before it appears; the run has finished then, as an imported
            network has.

    Raises:
        UserError: the kind is unknown, the name cannot be used or is taken.
    """
    from fer.training.pinning import pinned

    check_kind(kind)
    content = _as_dict(config)
    content = pinned(content) if kind == "train" else content
    if name is not None:
        check_run_name(name)
    recipe = recipe if recipe is not None else str(content.get("recipe") or "")
    wish = {"kind": kind, "recipe": recipe, "config": content}
    since = 0.0
    if request is None and repeat_after > 0:
        request, since = _digest(wish | {"name": name}), time.time() - repeat_after
    with queue.transaction() as connection:
        known = queue.run_of_request(connection, request, since) if request else None
        if known and (runs_directory() / known).is_dir():
            return open_run(known)
        if name is not None:
            check_free(name)
        identifier = new_id(recipe or kind)
        _store(identifier, wish, name, fill)
        if request:
            queue.remember_request(connection, request, identifier)
    return open_run(identifier)


def record_finished(run: Run, metrics: dict[str, Any] | None = None) -> None:
    """Mark a run finished whose files were put there by hand, such as an imported model."""
    with queue.transaction():
        record = files.read_record(run.directory)
        now = time.time()
        record |= {"state": "finished", "started": now, "ended": now, "metrics": metrics or {}}
        files.write_record(run.directory, record | {"reason": "", "remedy": ""})


def check_run_name(name: str) -> None:
    """Raise unless `name` can name a run."""
    from fer.data.dataset import check_name

    check_name(name)
    if name.lower() in (STARTER, STARTER_NAME):
        raise UserError(
            f"The name {name!r} is kept for the model that comes with the program. Choose another."
        )


def check_free(name: str, but: str = "") -> None:
    """Raise when another run than `but` is called `name`."""
    if any(name in (run.name, run.id) and run.id != but for run in list_runs()):
        raise UserError(f"Another run is already called {name!r}. Choose another name.")


def new_id(label: str) -> str:
    """An id that no run has: `<label>-<YYYYMMDD-HHMMSS>-<4 hex>`, local time."""
    label = re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")[:36] or "run"
    while True:
        identifier = f"{label}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        if not (runs_directory() / identifier).exists():
            return identifier


def _store(
    identifier: str, content: dict[str, Any], name: str | None, fill: Callable[[Path], None] | None
) -> None:
    created = time.time()
    record: dict[str, Any] = {"format": FORMAT, "state": "created", "created": created, "attempt": 0}
    if fill is not None:
        record |= {"state": "finished", "started": created, "ended": created}
    with storage.replacing_directory(runs_directory() / identifier) as staging:
        if fill is not None:
            fill(staging)
        _write(staging / "config.json", {"format": FORMAT, "created": created} | content)
        _write(staging / "status.json", record)
        if name is not None:
            _write(staging / "labels.json", {"name": name})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _as_dict(config: Any) -> dict[str, Any]:
    if hasattr(config, "to_json"):
        config = config.to_json()
    if isinstance(config, str):
        config = json.loads(config)
    return json.loads(json.dumps(config))  # a copy, and proof that it can be stored
