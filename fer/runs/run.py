"""One run: a folder `cache/runs/<id>/` that is the only protocol between the trainer and everybody else.

| file | written by | content |
|---|---|---|
| `config.json` | `create_run`, once | `{format, kind, recipe, created, config}` |
| `labels.json` | the user | `{name, tags, note, archived}` |
| `status.json` | queue, worker, supervisor | the recorded state; ask `Run.status()` for the truth |
| `progress.json`, `history.csv`, `best.keras`, `last/`, … | the job | see `fer.training.fit` |
| `usage.json` | supervisor | memory, processor and GPU use |
| `train.log` | worker | everything the job printed |
"""

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer import storage
from fer.errors import UnknownName, UserError
from fer.runs import files, queue, status

if TYPE_CHECKING:
    import pandas

    from fer.training.config import TrainConfig

FORMAT = 1
STARTER = "starter"
STARTER_NAME = "starter (shipped)"
STARTER_DIRECTORY = storage.PROJECT / "fer" / "prediction" / "starter"  # FER_STARTER names another


@dataclass(frozen=True)
class Run:
    """A run as it was when it was opened; `status()` and what follows it are read anew each time.

    Attributes:
        id: `<recipe or kind>-<YYYYMMDD-HHMMSS>-<4 hex>`, the folder's name.
        name: what the user calls it; the id until it is renamed.
        kind: job kind, `train` or one of `fer.runs.jobs.JOBS`.
        recipe: recipe name, '' when it has none.
        config: what the job gets.
        damaged: why its config cannot be read, '' normally.
    """

    id: str
    name: str
    kind: str
    recipe: str
    directory: Path
    config: dict[str, Any] = field(repr=False)
    created: float = 0.0
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False
    damaged: str = ""

    def status(self, rows: list[queue.Row] | None = None) -> status.RunStatus:
        """The truth now; `rows` is the queue when it was read already (`statuses` does that)."""
        if self.id == STARTER:
            epochs = len(files.history_rows(self.directory))
            return status.RunStatus("finished", epoch=epochs, epochs=epochs, created=self.created)
        if self.damaged:
            remedy = "Remove the run, or restore its config.json."
            return status.RunStatus("failed", self.damaged, remedy, "damaged", {}, created=self.created)
        return status.derive(self.id, self.directory, self.config, rows)

    def train_config(self) -> "TrainConfig":
        """The config as the checked dataclass.

        Raises:
            UserError: it is not a training, or its values are not valid.
        """
        if self.kind != "train":
            raise UserError(
                f"The run {self.name!r} is a {self.kind!r} job, not a training. Choose a training."
            )
        from fer.training.config import TrainConfig

        return TrainConfig.from_json(self.config)

    def history(self) -> "pandas.DataFrame":
        """One row per completed epoch, numbers as numbers; empty before the first."""
        import pandas

        rows = files.history_rows(self.directory)
        names = list(rows[0]) if rows else []
        return pandas.DataFrame({name: _numbers([row[name] for row in rows]) for name in names})

    def best(self) -> dict[str, float]:
        """`{"val_accuracy", "epoch"}` of the best epoch so far (epochs from 1); {} before the first."""
        values = []
        for number, row in enumerate(files.history_rows(self.directory), start=1):
            with contextlib.suppress(KeyError, ValueError):
                values.append((float(row["val_accuracy"]), number))
        if not values:
            return {}
        accuracy, number = max(values, key=lambda pair: (pair[0], -pair[1]))
        return {"val_accuracy": accuracy, "epoch": number}

    def metrics(self) -> dict[str, Any]:
        """What the job returned at its end; while it runs, the best epoch so far."""
        recorded = files.read_record(self.directory).get("metrics")
        return recorded if recorded else self.best()

    def test_metrics(self) -> dict[str, Any]:
        """`metrics()` if they were measured on test images, else {}.

        A training whose data set has no test images records those of its validation images, and says so by
        their "split"; an evaluation has its split in its config. Without either they are of the test images.
        """
        found, others = self.metrics(), ("train", "validation")
        return {} if found.get("split") in others or self.config.get("split") in others else found

    def usage(self) -> dict[str, Any]:
        """Memory (bytes), processor (percent of one core) and GPU use, as last measured."""
        return files.read_object(self.directory / "usage.json")

    def log_tail(self, lines: int = 50) -> str:
        """The last lines of train.log, '' when there is none."""
        try:
            with open(self.directory / "train.log", "rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 400 * max(1, lines)))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        shown = [line.rsplit("\r", 1)[-1] for line in text.splitlines()]  # progress bars rewrite their line
        return "\n".join(shown[-lines:])


def runs_directory() -> Path:
    return storage.cache_directory() / "runs"


def list_runs() -> list[Run]:
    """Every run, the newest first, without the starter; a damaged one is listed with `damaged` set."""
    if not runs_directory().is_dir():
        return []
    folders = [f for f in runs_directory().iterdir() if f.is_dir() and not f.name.startswith(".")]
    loaded = [run for folder in folders if (run := _load_if_there(folder))]
    return sorted(loaded, key=lambda run: (run.created, run.id), reverse=True)


def starter_directory() -> Path:
    """Where the model that comes with the program is: `FER_STARTER`, or its folder in the project."""
    return Path(os.environ.get("FER_STARTER") or STARTER_DIRECTORY).expanduser()


def shipped_runs() -> list[Run]:
    """The starter, if this copy of the program has one."""
    return [_starter()] if (starter_directory() / "best.keras").exists() else []


def statuses(runs: Iterable[Run]) -> dict[str, status.RunStatus]:
    """`{id: status}` of many runs with one look at the queue."""
    rows = queue.rows()
    return {run.id: run.status(rows) for run in runs}


def open_run(key: str | Run) -> Run:
    """A run by id, by name or by a unique beginning of its id; `starter` is the shipped model.

    Raises:
        UnknownName: there is none; the message lists the newest.
        UserError: the key fits several.
    """
    if isinstance(key, Run):
        key = key.id
    if key in (STARTER, STARTER_NAME):
        return _starter()
    if (
        re.fullmatch(r"[\w .-]{1,100}", key, re.ASCII)
        and (folder := runs_directory() / key).is_dir()
        and not key.startswith(".")
    ):
        return _load(folder)
    runs = list_runs()
    matches = [run for run in runs if run.name == key]
    matches = matches or [run for run in runs if len(key) >= 3 and run.id.startswith(key)]
    if not matches:
        raise UnknownName("run", key, [run.name for run in runs[:20]])
    if len(matches) > 1:
        ids = ", ".join(run.id for run in matches[:5])
        raise UserError(f"{key!r} fits {len(matches)} runs ({ids}). Use the id of one.")
    return matches[0]


def with_forerunners(run: Run) -> list[Run]:
    """A run, those it was built on, and what these were built on, each once; what is deleted is left out.

    Raises:
        UnknownName: a run that this one itself names is gone.
    """
    found, waiting = {run.id: run}, [run]
    while waiting:
        one = waiting.pop()
        for key in files.built_on(one.config):
            try:
                other = open_run(key)
            except UnknownName:
                if one is run:
                    raise
                continue
            if other.id not in found:
                found[other.id] = other
                waiting.append(other)
    return list(found.values())


def _numbers(values: list[str]) -> list[Any]:
    """Text as whole numbers if all are, else as numbers (nothing is NaN), else as it is (the phase)."""
    for convert in (int, lambda value: float(value or "nan")):
        with contextlib.suppress(ValueError):
            return [convert(value) for value in values]
    return values


def _load_if_there(folder: Path) -> Run | None:
    try:
        return _load(folder)
    except FileNotFoundError:
        return None  # removed while we were listing


def _load(folder: Path) -> Run:
    damaged, content = "", {}
    try:
        content = _checked(storage.read_json(folder / "config.json"))
    except FileNotFoundError:
        folder.stat()  # gone altogether: not a run at all
        damaged = f"Its config.json is missing in {folder}."
    except (UserError, OSError) as error:
        damaged = str(error)
    labels = read_labels(folder)
    return Run(
        id=folder.name,
        name=str(labels.get("name") or folder.name),
        kind=content.get("kind", "train"),
        recipe=content.get("recipe", ""),
        directory=folder,
        config=content.get("config", {}),
        created=content.get("created") or folder.stat().st_mtime,
        tags=tuple(str(tag) for tag in labels.get("tags") or ()),
        note=str(labels.get("note") or ""),
        archived=bool(labels.get("archived")),
        damaged=damaged,
    )


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise UserError("Its config.json does not hold a config.")
    if content.get("format") != FORMAT:
        raise UserError(f"Its config.json has format {content.get('format')!r}; this version reads {FORMAT}.")
    if not isinstance(content.get("kind"), str) or not isinstance(content.get("recipe"), str):
        raise UserError("Its config.json names no kind of job or no recipe.")
    return content


def read_labels(folder: Path) -> dict[str, Any]:
    """Name, tags, note and archived; {} when none were given or the file is damaged."""
    return files.read_object(folder / "labels.json")


def _starter() -> Run:
    folder = starter_directory()
    if not (folder / "best.keras").exists():
        raise UserError("The starter model is not in this copy of the program. Train a run and use that.")
    content = files.read_object(folder / "config.json")
    return Run(
        id=STARTER,
        name=STARTER_NAME,
        kind="train",
        recipe=content.get("recipe", ""),
        directory=folder,
        config=content.get("config", {}),
        created=(folder / "best.keras").stat().st_mtime,
        note="The model that comes with the program.",
    )
