"""What a run answers for the images of a data set, computed once and stored with the run.

TensorFlow is imported only when something has to be computed; reading stored predictions needs NumPy.
"""

import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import PARTS, SPLITS, Dataset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.evaluation.inference import (
    Progress,
    Stopped,
    check_input,
    compiled_predict,
    measure_latency,
    predict_probabilities,
)
from fer.evaluation.trained import TrainedRun, trained_run
from fer.storage import replacing

if TYPE_CHECKING:
    import keras

__all__ = [
    "Predictions",
    "Stopped",
    "check_classes",
    "check_input",
    "check_split",
    "compiled_predict",
    "evaluate_run",
    "load_network",
    "load_predictions",
    "predict_probabilities",
    "predictions_changed",
    "predictions_path",
    "store_predictions",
]

FORMAT = 1  # of the stored files; those of another one are made again


@dataclass(frozen=True)
class Predictions:
    """What a run answers for the images of one data set.

    Attributes:
        indices: (N,) int64 into the data set, ascending.
        probabilities: (N, 7) float32; columns of classes the run does not know are 0.
        splits: (N,) uint8, index into `SPLITS`: the run's own on its own data set.
        stamp: of the network that answered.
        latency: seconds for one image, one compiled call, as `latencies` takes them; nan when unknown.
        images_per_second: while predicting the last batchwise pass; nan when not measured.
    """

    indices: np.ndarray
    probabilities: np.ndarray
    splits: np.ndarray
    stamp: str = ""
    latency: float = float("nan")
    images_per_second: float = float("nan")

    def of(self, indices: np.ndarray) -> np.ndarray | None:
        """(M, 7) float32 probabilities of these images of the data set; None unless all are stored."""
        place = np.searchsorted(self.indices, indices)
        place = np.minimum(place, max(len(self.indices) - 1, 0))
        if len(self.indices) == 0 or not np.array_equal(self.indices[place], indices):
            return None
        return self.probabilities[place]


def evaluate_run(
    run: Any,
    dataset: Dataset | None = None,
    splits: Sequence[str] = ("validation", "test"),
    model: "keras.Model | None" = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Predictions:
    """Predict the images of `splits` that are not stored yet, store them, and return all that is stored.

    Args:
        run: a run directory or anything with `directory`.
        dataset: None for the run's own.
        splits: of `train`, `validation`, `test`, `PublicTest`, `PrivateTest`.
        model: the network of `best.keras` if it is already loaded, in float32.

    Raises:
        UserError: an empty split, a broken network, a network for other classes or images.
        Stopped: cancelled; what was stored before stays.
    """
    run = trained_run(run)
    dataset = dataset or run.dataset()
    stored = load_predictions(run, dataset.fingerprint) or _empty(run.stamp)
    wanted = {split: run.indices(dataset, split) for split in splits}
    missing = np.unique(np.concatenate([*wanted.values(), np.zeros(0, np.int64)]))
    missing = missing[~np.isin(missing, stored.indices)]
    if len(missing) == 0:
        return stored
    model = model or load_network(run)
    check_classes(run, model)
    started = time.perf_counter()
    answers = predict_probabilities(model, dataset.images[missing], None, progress, should_stop)
    seconds = time.perf_counter() - started
    probabilities = np.zeros((len(missing), len(EMOTIONS)), np.float32)
    probabilities[:, run.class_indices] = answers
    result = _merged(stored, missing, probabilities, _split_codes(run, dataset, missing))
    result = replace(
        result, stamp=run.stamp, latency=measure_latency(model), images_per_second=len(missing) / seconds
    )
    store_predictions(predictions_path(run, dataset.fingerprint), result)
    return result


def load_predictions(run: Any, fingerprint: str | None = None) -> Predictions | None:
    """Stored predictions of the run's present network; None when there are none.

    A damaged file, and one made by an earlier network of the run, counts as none.
    """
    run = trained_run(run)
    path = predictions_path(run, fingerprint or run.fingerprint)
    if not path.exists():
        path = run.directory / path.name  # a shipped network brings some
    if not path.exists():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            content = {key: stored[key] for key in stored.files}
        result = Predictions(
            indices=content["indices"],
            probabilities=content["probabilities"],
            splits=content["splits"],
            stamp=str(content["stamp"]),
            latency=float(content["latency"]),
            images_per_second=float(content["images_per_second"]),
        )
        if int(content.get("format", FORMAT)) != FORMAT:
            return None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None  # computed again, which is cheap
    return result if result.stamp == run.stamp else None


def predictions_path(run: TrainedRun, fingerprint: str) -> Path:
    """`predictions.npz` for the run's own data set, else `predictions-<fingerprint>.npz`."""
    own = fingerprint == run.fingerprint
    return run.results / ("predictions.npz" if own else f"predictions-{fingerprint}.npz")


def predictions_changed(run: Any) -> int:
    """When the newest predictions of a run were written, in nanoseconds; 0 without any."""
    run = trained_run(run)
    try:
        folders = {run.directory, run.results}
    except UserError:  # no network, so nothing of it
        folders = {run.directory}
    return max((p.stat().st_mtime_ns for f in folders for p in f.glob("predictions*.npz")), default=0)


def load_network(run: Any) -> "keras.Model":
    """The run's best network in float32; imports Keras."""
    from fer.models.loading import load_model

    return load_model(trained_run(run).model_path)


def check_classes(run: TrainedRun, model: "keras.Model") -> None:
    """Refuse, with a reason, a network whose outputs are not the run's classes."""
    columns = model.output_shape[-1]
    if columns != len(run.classes):
        raise UserError(
            f"The network of run {run.name or run.id!r} has {columns} outputs, but its configuration names "
            f"{len(run.classes)} classes ({', '.join(run.classes)})."
        )


def _split_codes(run: TrainedRun, dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    codes = np.asarray(dataset.splits)[indices].astype(np.uint8)
    if dataset.fingerprint == run.fingerprint:
        for code, split in enumerate(SPLITS):
            codes[np.isin(indices, run.splits.get(split, np.zeros(0, np.int64)))] = code
    return codes


def _merged(
    old: Predictions, indices: np.ndarray, probabilities: np.ndarray, splits: np.ndarray
) -> Predictions:
    indices = np.concatenate([old.indices, indices])
    order = np.argsort(indices)
    return Predictions(
        indices=indices[order],
        probabilities=np.concatenate([old.probabilities, probabilities])[order],
        splits=np.concatenate([old.splits, splits])[order],
    )


def _empty(stamp: str) -> Predictions:
    none = np.zeros(0, np.int64)
    return Predictions(none, np.zeros((0, len(EMOTIONS)), np.float32), none.astype(np.uint8), stamp)


def store_predictions(path: Path, predictions: Predictions) -> None:
    """Replace the predictions in `path` atomically."""
    with replacing(path) as temporary:
        np.savez(
            temporary,
            indices=predictions.indices,
            probabilities=predictions.probabilities,
            splits=predictions.splits,
            stamp=np.array(predictions.stamp),
            latency=np.array(predictions.latency),
            images_per_second=np.array(predictions.images_per_second),
            format=np.array(FORMAT),
        )


def check_split(split: str) -> str:
    """`split` if it is the name of one."""
    if split not in (*SPLITS, *PARTS[1:]):
        raise UnknownName("split", split, [*SPLITS, *PARTS[1:]])
    return split
