"""Probabilities of a network for many images, computed once per run and data set and stored.

One compiled function with one batch shape: about twice as fast as `model.predict`, which also compiles,
but feeds its function through a data pipeline. Works on every Keras backend. TensorFlow is imported only
when something has to be computed; reading stored predictions needs NumPy alone.
"""

import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import PARTS, SPLITS, Dataset
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UnknownName, UserError
from fer.evaluation.trained import TrainedRun, trained_run
from fer.storage import replacing

if TYPE_CHECKING:
    import keras

Progress = Callable[[float, str], None]
BATCH = 256
LARGEST_ACTIVATION = 2**27  # values of one layer for one batch: 0.5 GB in float32
LATENCY_REPEATS = 15
_compiling = threading.Lock()


class Stopped(UserError):
    """The work was cancelled; nothing half done was stored."""

    def __init__(self) -> None:
        super().__init__("Stopped before all images were predicted; start again to finish.")


@dataclass(frozen=True)
class Predictions:
    """What a run answers for the images of one data set.

    Attributes:
        indices: (N,) int64 into the data set, ascending.
        probabilities: (N, 7) float32; columns of classes the run does not know are 0.
        splits: (N,) uint8, index into `SPLITS`: the run's own on its own data set.
        stamp: of the network that answered.
        latency: median seconds for one image, one compiled call; nan when not measured.
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


def predict_probabilities(
    model: "keras.Model",
    images: np.ndarray,
    batch: int | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> np.ndarray:
    """(N, K) float32 softmax outputs.

    Args:
        model: takes (batch, 48, 48, 1) float32 in [0, 1].
        images: (N, 48, 48) uint8; may be memory-mapped.
        batch: images at once; None chooses up to 256 by the network's largest layer. The last batch is
            padded, so the network is compiled once.

    Raises:
        UserError: shapes that do not fit.
        Stopped: `should_stop` said so.
    """
    if images.ndim != 3 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise UserError(f"Images have shape {images.shape}; expected (N, {IMAGE_SIZE}, {IMAGE_SIZE}).")
    check_input(model)
    size = min(batch or fitting_batch(model), _power_of_two(max(len(images), 1)))
    results = []
    for start in range(0, len(images), size):
        if should_stop and should_stop():
            raise Stopped
        block = np.zeros((size, IMAGE_SIZE, IMAGE_SIZE, 1), np.float32)
        chosen = np.asarray(images[start : start + size], np.float32)
        block[: len(chosen), ..., 0] = chosen / 255
        results.append(compiled_predict(model, block)[: len(chosen)])
        if progress:
            done = min(start + size, len(images))
            progress(done / len(images), f"{done:,} of {len(images):,} images")
    columns = model.output_shape[-1]
    return np.concatenate(results) if results else np.zeros((0, columns), np.float32)


def compiled_predict(model: "keras.Model", inputs: np.ndarray) -> np.ndarray:
    """(N, K) float32 of one batch through Keras' compiled predict step; safe from several threads."""
    if getattr(model, "predict_function", None) is None:
        with _compiling:
            if model.predict_function is None:
                model.jit_compile = False  # XLA takes seconds to compile and gains nothing on a CPU
                model.make_predict_function()
    return np.asarray(model.predict_on_batch(inputs), dtype=np.float32)


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
    _store(predictions_path(run, dataset.fingerprint), result)
    return result


def load_predictions(run: Any, fingerprint: str | None = None) -> Predictions | None:
    """Stored predictions of the run's present network; None when there are none.

    A damaged file, and one made by an earlier network of the run, counts as none.
    """
    run = trained_run(run)
    path = predictions_path(run, fingerprint or run.fingerprint)
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
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None  # computed again, which is cheap
    return result if result.stamp == run.stamp else None


def predictions_path(run: TrainedRun, fingerprint: str) -> Path:
    """`predictions.npz` for the run's own data set, else `predictions-<fingerprint>.npz`."""
    own = fingerprint == run.fingerprint
    return run.directory / ("predictions.npz" if own else f"predictions-{fingerprint}.npz")


def load_network(run: Any) -> "keras.Model":
    """The run's best network in float32; imports Keras."""
    from fer.models.loading import load_model

    return load_model(trained_run(run).model_path)


def check_input(model: "keras.Model") -> None:
    """Refuse, with a reason, a network that does not take 48×48 grey images."""
    shape = tuple(model.input_shape) if isinstance(model.input_shape, tuple) else ()
    if shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 1):
        raise UserError(
            f"This network takes images of shape {shape[1:]}; faces here are ({IMAGE_SIZE}, {IMAGE_SIZE}, 1)."
            " Put a resizing layer in front of it and import it again."
        )


def check_classes(run: TrainedRun, model: "keras.Model") -> None:
    """Refuse, with a reason, a network whose outputs are not the run's classes."""
    columns = model.output_shape[-1]
    if columns != len(run.classes):
        raise UserError(
            f"The network of run {run.name or run.id!r} has {columns} outputs, but its configuration names "
            f"{len(run.classes)} classes ({', '.join(run.classes)})."
        )


def measure_latency(model: "keras.Model") -> float:
    """Median seconds from one (48, 48) image to its probabilities, compiled."""
    image = np.full((1, IMAGE_SIZE, IMAGE_SIZE, 1), 0.5, np.float32)
    seconds = []
    for _ in range(LATENCY_REPEATS + 1):
        started = time.perf_counter()
        compiled_predict(model, image)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def fitting_batch(model: "keras.Model") -> int:
    """Power of two up to 256 that keeps the largest layer's output of one batch below 0.5 GB."""
    sizes = [1]
    for layer in _all_layers(model):
        shape = getattr(layer.output, "shape", None) if getattr(layer, "built", False) else None
        if shape is not None and all(isinstance(n, int) for n in shape[1:]):
            sizes.append(int(np.prod(shape[1:])))
    return max(1, min(BATCH, _power_of_two(LARGEST_ACTIVATION // max(sizes) + 1) // 2))


def _all_layers(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found += _all_layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()


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


def _store(path: Path, predictions: Predictions) -> None:
    with replacing(path) as temporary:
        np.savez(
            temporary,
            indices=predictions.indices,
            probabilities=predictions.probabilities,
            splits=predictions.splits,
            stamp=np.array(predictions.stamp),
            latency=np.array(predictions.latency),
            images_per_second=np.array(predictions.images_per_second),
        )


def check_split(split: str) -> str:
    """`split` if it is the name of one."""
    if split not in (*SPLITS, *PARTS[1:]):
        raise UnknownName("split", split, [*SPLITS, *PARTS[1:]])
    return split
