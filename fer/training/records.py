"""The files of a run that people and pages read: history, progress, environment, splits, model facts."""

import csv
import importlib.util
import io
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer import backend, storage
from fer.training.config import TrainConfig

if TYPE_CHECKING:
    import keras

    from fer.training.data import TrainingData

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "learning_rate",
    "seconds",
    "images_per_second",
    "phase",
)
PROGRESS_PERIOD = 1.0


def write_history(directory: Path, rows: list[dict[str, Any]]) -> None:
    """Replace `history.csv` by `rows`, one per completed epoch: a kill never leaves a torn line.

    Columns as in `COLUMNS`; `epoch` counts from 1, `loss` is what was minimised (weighted, smoothed,
    with penalties), `val_loss` the plain cross-entropy, so it compares between runs.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_text(directory / "history.csv", text.getvalue())


class Progress:
    """Writes `progress.json` at most once a second and calls `show(fraction, text)` as often."""

    def __init__(self, directory: Path, facts: dict[str, Any], show: Callable[[float, str], None] | None):
        self.path = directory / "progress.json"
        self.facts = facts
        self.show = show
        self.written = 0.0

    def update(self, content: dict[str, Any], text: str, now: bool = False) -> None:
        """Record `content` (with `epoch`, `epochs`, `step`, `steps`), unless it was done within a second."""
        if not now and time.monotonic() - self.written < PROGRESS_PERIOD:
            return
        storage.write_json(self.path, self.facts | content | {"stage": text, "time": time.time()})
        if self.show:
            done = content["epoch"] + content["step"] / max(content["steps"], 1)
            self.show(min(done / max(content["epochs"], 1), 1.0), text)
        self.written = time.monotonic()


def environment(config: TrainConfig, data: "TrainingData", device: str, policy: str) -> dict[str, Any]:
    """What decides a result besides the config: versions, machine, precision, revision, data, selection."""
    titles = {d.name: d.title for d in backend.devices()} if device != "cpu" else {}
    return {
        "versions": backend.versions(),
        "backend": backend.backend_name(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "device": device,
        "device_title": titles.get(device) or backend.devices()[0].title,
        "precision": policy,
        "deterministic": config.deterministic,
        "jit": backend.resolved_jit(config.jit),
        "revision": revision(),
        "dataset": data.dataset.fingerprint,
        "dataset_name": data.dataset.name,
        "selection": data.selection,
        "generated": data.generated_set,
        "images": {name: len(indices) for name, indices in data.splits.items()}
        | ({"generated": len(data.generated)} if len(data.generated) else {}),
    }


def revision() -> str:
    """The git revision of this code, with `+changes` if files differ from it; '' outside a repository.

    On a node of a cluster, where the code came without its repository, the one it was sent from.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(storage.PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("FER_REVISION", "")


def write_inputs(
    directory: Path,
    config: TrainConfig,
    data: "TrainingData",
    facts: dict[str, Any],
    seen_before: list[np.ndarray],
) -> None:
    """Store what the run was given: config, environment, splits, hashes of the images it saw, labels.

    seen_before: (M,) V16 hashes of what each run it builds on saw; they count as seen by this one.
    """
    if not (directory / "config.json").exists():
        storage.write_json(directory / "config.json", config.to_json())
    storage.write_json(directory / "environment.json", facts)
    seen = np.union1d(data.splits["train"], data.splits["validation"])
    with storage.replacing(directory / "splits.npz") as path:
        np.savez(path, **data.splits)  # type: ignore[arg-type]  # NumPy's stub takes the names for flags
    with storage.replacing(directory / "hashes.npy") as path:
        np.save(path, np.unique(np.concatenate([data.dataset.hashes[seen], *seen_before])))
    if data.selection:
        with storage.replacing(directory / "labels.npy") as path:
            np.save(path, data.all_labels)


def write_model_facts(directory: Path, config: TrainConfig, model: "keras.Model") -> None:
    """Store `model.json`: parameters, layers, shapes and, once it exists, the size of the saved file."""
    best = directory / "best.keras"
    storage.write_json(
        directory / "model.json",
        {
            "model": config.model,
            "parameters": int(model.count_params()),
            "trainable": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            "layers": [
                {
                    "name": layer.name,
                    "kind": type(layer).__name__,
                    "shape": _shape(layer),
                    "parameters": int(layer.count_params()) if layer.built else 0,
                }
                for layer in model.layers
            ],
            "input_shape": list(model.input_shape[1:]),
            "classes": list(config.classes),
            "file_size": best.stat().st_size if best.exists() else None,
        },
    )


def _shape(layer: "keras.layers.Layer") -> list[Any]:
    try:
        return list(layer.output.shape[1:])
    except AttributeError:  # used more than once, so it has no single output
        return []


class Events:
    """TensorBoard events of a run, if the package is installed; otherwise nothing."""

    def __init__(self, directory: Path):
        self.writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self.writer = EventFileWriter(str(directory))

    def add(self, row: dict[str, Any]) -> None:
        """One scalar per figure of a history row."""
        if self.writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if isinstance(value, float)
        ]
        self.writer.add_event(Event(wall_time=time.time(), step=row["epoch"], summary=Summary(value=values)))
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
