"""One run's network, loaded once and answering for crops: calibrated, averaged over views, or with dropout.

Reads what the run directory says about the network; imports Keras when the first one is loaded.
"""

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError
from fer.evaluation.calibration import apply_temperature
from fer.evaluation.trained import trained_run
from fer.storage import read_json

# Batches are padded to one of these sizes, so a network is compiled three times at most.
BATCHES = (1, 8, 64)
SHIFT = 2


class Network:
    """A trained network behind a lock.

    Attributes:
        id: of the run, the name of its directory.
        name: what the user calls it.
        temperature: that its probabilities are scaled with; 1 when the run has no calibration.
    """

    def __init__(self, run: Any):
        """`run`: a run directory (`best.keras`, `model.json` or `config.json`) or a `fer.runs.Run`.

        Raises:
            UserError: no network, a broken one, or one for other images or classes.
        """
        from fer.evaluation.predictions import check_classes, check_input, load_network

        trained = trained_run(run)
        self.id, self.name = trained.id, trained.name or trained.id
        self.classes = trained.class_indices
        self.temperature = _temperature(trained.directory)
        self._model = load_network(trained)
        check_input(self._model)
        check_classes(trained, self._model)
        self._lock = threading.Lock()
        self._run(
            self._model, np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        )  # compiles, so users don't wait

    def answers(self, crops: np.ndarray, views: bool = False) -> np.ndarray:
        """(N, 7) float32 calibrated probabilities of (N, 48, 48) uint8 crops.

        Classes the network does not know are 0. With `views`, the mean over `shifted_views`.
        """
        shown = shifted_views(crops) if views else crops[None]
        flat = self._run(self._model, shown.reshape(-1, IMAGE_SIZE, IMAGE_SIZE))
        return flat.reshape(len(shown), len(crops), len(EMOTIONS)).mean(axis=0)

    def dropout_spread(self, crops: np.ndarray, passes: int) -> np.ndarray | None:
        """(N, 7) float32 standard deviation over passes with dropout on; None if it has no dropout.

        Gal & Ghahramani 2016, "Dropout as a Bayesian Approximation". Batch normalisation stays as trained.
        """
        if self._dropout_model is None:
            return None
        answers = [self._run(self._dropout_model, crops) for _ in range(passes)]
        return np.std(answers, axis=0, dtype=np.float32)

    @cached_property
    def _dropout_model(self) -> Any:
        from fer.prediction.dropout import with_dropout

        return with_dropout(self._model)

    def _run(self, model: Any, crops: np.ndarray) -> np.ndarray:
        from fer.evaluation.predictions import compiled_predict

        result = np.zeros((len(crops), len(EMOTIONS)), np.float32)
        start = 0
        while start < len(crops):
            size = next((n for n in BATCHES if n >= len(crops) - start), BATCHES[-1])
            chosen = crops[start : start + size]
            block = np.zeros((size, IMAGE_SIZE, IMAGE_SIZE, 1), np.float32)
            block[: len(chosen), ..., 0] = chosen.astype(np.float32) / 255
            with self._lock:
                answers = compiled_predict(model, block)[: len(chosen)]
            if self.temperature != 1:
                answers = apply_temperature(answers, self.temperature)
            result[start : start + size, self.classes] = answers
            start += size
        return result


def shifted_views(crops: np.ndarray) -> np.ndarray:
    """(10, N, 48, 48) uint8: each crop and its mirror image, in place and shifted two pixels four ways."""
    padded = np.pad(crops, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    shifts = ((SHIFT, SHIFT), (0, SHIFT), (2 * SHIFT, SHIFT), (SHIFT, 0), (SHIFT, 2 * SHIFT))
    shifted = np.stack([padded[:, y : y + IMAGE_SIZE, x : x + IMAGE_SIZE] for y, x in shifts])
    return np.concatenate([shifted, shifted[..., ::-1]])


def _temperature(directory: Path) -> float:
    """`temperature` in the run's `calibration.json`, else in its `model.json`, else 1."""
    for name in ("calibration.json", "model.json"):
        path = directory / name
        content = read_json(path) if path.is_file() else None
        if isinstance(content, dict) and "temperature" in content:
            value = content["temperature"]
            if not isinstance(value, int | float) or not 0 < value < 1000:
                raise UserError(f"The temperature {value!r} in {path} cannot be used; it must be above 0.")
            return float(value)
    return 1.0
