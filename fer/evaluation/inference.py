"""Probabilities of a network for many images.

One compiled function with one batch shape: about twice as fast as `model.predict`, which also compiles,
but feeds its function through a data pipeline. Works on every Keras backend and imports none by itself.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.emotions import IMAGE_SIZE
from fer.errors import UserError

if TYPE_CHECKING:
    import keras

Progress = Callable[[float, str], None]
BATCH = 256
LARGEST_ACTIVATION = 2**27  # values of one layer for one batch: 0.5 GB in float32
LATENCY_WARM_UP, LATENCY_ROUNDS, LATENCY_REPEATS = 3, 5, 11
_compiling = threading.Lock()


class Stopped(UserError):
    """The work was cancelled; nothing half done was stored."""

    def __init__(self) -> None:
        super().__init__("Stopped before all images were predicted; start again to finish.")


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
        import keras

        with _compiling:
            if model.predict_function is None:
                if keras.backend.backend() == "tensorflow":  # JAX compiles nothing without it
                    model.jit_compile = False  # XLA takes seconds to compile and gains nothing on a CPU
                model.make_predict_function()
    return np.asarray(model.predict_on_batch(inputs), dtype=np.float32)


def check_input(model: "keras.Model") -> None:
    """Refuse, with a reason, a network that does not take 48×48 grey images."""
    shape = tuple(model.input_shape) if isinstance(model.input_shape, tuple) else ()
    if shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 1):
        raise UserError(
            f"This network takes images of shape {shape[1:]}; faces here are ({IMAGE_SIZE}, {IMAGE_SIZE}, 1)."
            " Put a resizing layer in front of it and import it again."
        )


def measure_latency(model: "keras.Model") -> float:
    """Seconds from one (48, 48) image to its probabilities, compiled: see `latencies`."""
    return latencies([model])[0]


def latencies(models: Sequence["keras.Model"]) -> list[float]:
    """Seconds each network needs for one (48, 48) image, compiled and warmed up.

    The lowest of several rounds' medians: other work on the computer makes some rounds slower, none
    faster. The networks take turns, so that a busy minute does not make one of them look slow.
    """
    image = np.full((1, IMAGE_SIZE, IMAGE_SIZE, 1), 0.5, np.float32)
    for model in models:
        for _ in range(LATENCY_WARM_UP):
            compiled_predict(model, image)
    medians: list[list[float]] = [[] for _ in models]
    for _ in range(LATENCY_ROUNDS):
        for found, model in zip(medians, models, strict=True):
            seconds = []
            for _ in range(LATENCY_REPEATS):
                started = time.perf_counter()
                compiled_predict(model, image)
                seconds.append(time.perf_counter() - started)
            found.append(float(np.median(seconds)))
    return [min(found) for found in medians]


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
