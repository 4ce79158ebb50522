"""The documented way from a photo to expressions: `Predictor(runs).predict(photo)`.

Photos stay in memory: nothing here writes a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError
from fer.prediction.faces import Box, Face, crop_face, find_faces
from fer.prediction.network import Network
from fer.prediction.photo import decode_photo

NO_FACE = (
    "No face was found. Try a photo where the face looks at the camera, is well lit and at least 40 pixels "
    "wide, or draw the box by hand."
)
MOST_PASSES = 200


@dataclass(frozen=True)
class Options:
    """How to predict.

    Attributes:
        views: average over ten mirrored and shifted copies of the crop (test-time augmentation).
        dropout_passes: passes with dropout on, for a spread; 0 for none.
        unsure_below: an answer whose probability is below this is marked as unsure.
    """

    views: bool = False
    dropout_passes: int = 0
    unsure_below: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.unsure_below <= 1:
            raise UserError(f"The confidence {self.unsure_below} is not between 0 and 1.")
        if self.dropout_passes not in range(MOST_PASSES + 1) or self.dropout_passes == 1:
            raise UserError(
                f"{self.dropout_passes} passes with dropout give no spread; use 0, or 2–{MOST_PASSES}."
            )


@dataclass(frozen=True)
class FacePrediction:
    """One face and what the networks say about it.

    Attributes:
        face: where it is.
        crop: (48, 48) uint8 grey, what the networks saw.
        probabilities: `{run id: {class: probability}}`, seven classes each.
        ensemble: `{class: probability}`, the mean over the runs.
        emotion: the most probable class of the ensemble.
        confidence: its probability in [0, 1].
        sure: whether that reaches `Options.unsure_below`.
        spread: `{run id: {class: standard deviation}}` over dropout passes; runs without dropout are absent.
    """

    face: Face
    crop: np.ndarray = field(repr=False)
    probabilities: Mapping[str, Mapping[str, float]]
    ensemble: Mapping[str, float]
    emotion: str
    confidence: float
    sure: bool
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def box(self) -> Box:
        """(x, y, width, height) in the photo."""
        return self.face.box

    @property
    def score(self) -> float:
        """The detector's confidence in [0, 1] that this is a face."""
        return self.face.score


class Predictor:
    """Trained networks, loaded once; safe to use from several threads.

    Attributes:
        runs: the ids, in the order of the first axis of `predict_crops`.
    """

    def __init__(self, runs: Sequence[Any]):
        """`runs`: directories with `best.keras` and `model.json` or `config.json`, `fer.runs.Run`s, or
        `Network`s that are loaded already.

        Raises:
            UserError: none given, or one that cannot be loaded.
        """
        if not runs:
            raise UserError("There is no model to predict with; train one, or choose the starter model.")
        self.networks = [run if isinstance(run, Network) else Network(run) for run in runs]
        self.runs = [network.id for network in self.networks]

    def predict(
        self,
        photo: np.ndarray | bytes,
        options: Options | None = None,
        faces: Sequence[Face] | None = None,
    ) -> list[FacePrediction]:
        """Every face in a photo, the largest first; an empty list when there is none.

        Args:
            photo: (H, W, 3) uint8 RGB, or the bytes of a photo file.
            options: see `Options`.
            faces: where to look, to skip the detector (boxes adjusted or drawn by hand).

        Raises:
            UserError: bytes that are not a photo.
        """
        if isinstance(photo, bytes | bytearray | memoryview):
            photo = decode_photo(bytes(photo))
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise UserError(f"A photo is (H, W, 3) uint8, not {photo.shape} {photo.dtype}; decode it first.")
        found = find_faces(photo) if faces is None else list(faces)
        return self.predict_faces(found, [crop_face(photo, face) for face in found], options)

    def predict_faces(
        self, faces: Sequence[Face], crops: Sequence[np.ndarray], options: Options | None = None
    ) -> list[FacePrediction]:
        """A `FacePrediction` for each face and its (48, 48) uint8 crop."""
        options = options or Options()
        if not faces:
            return []
        stacked = np.stack(crops)
        answers = self.predict_crops(stacked, options)
        spreads = self._spreads(stacked, options.dropout_passes)
        mean = answers.mean(axis=0)
        return [
            FacePrediction(
                face=face,
                crop=crops[index],
                probabilities={run: _named(answers[r, index]) for r, run in enumerate(self.runs)},
                ensemble=_named(mean[index]),
                emotion=EMOTIONS[int(mean[index].argmax())],
                confidence=float(mean[index].max()),
                sure=bool(mean[index].max() >= options.unsure_below),
                spread={run: _named(spread[index]) for run, spread in spreads.items()},
            )
            for index, face in enumerate(faces)
        ]

    def predict_crops(self, crops: np.ndarray, options: Options | None = None) -> np.ndarray:
        """(R, N, 7) float32 probabilities of (N, 48, 48) uint8 grey crops by each of the R networks.

        Raises:
            UserError: another shape or type.
        """
        crops = np.asarray(crops)
        if crops.ndim != 3 or crops.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or crops.dtype != np.uint8:
            raise UserError(
                f"Crops are (N, {IMAGE_SIZE}, {IMAGE_SIZE}) uint8, not {crops.shape} {crops.dtype}."
            )
        views = bool(options and options.views)
        return np.stack([network.answers(crops, views) for network in self.networks])

    def _spreads(self, crops: np.ndarray, passes: int) -> dict[str, np.ndarray]:
        if not passes:
            return {}
        found = {network.id: network.dropout_spread(crops, passes) for network in self.networks}
        return {run: spread for run, spread in found.items() if spread is not None}


def describe(found: Sequence[FacePrediction]) -> str:
    """One sentence about how many faces there are."""
    if not found:
        return NO_FACE
    if len(found) == 1:
        return "One face was found."
    return f"{len(found)} faces were found, the largest first."


def _named(values: np.ndarray) -> dict[str, float]:
    return {emotion: float(value) for emotion, value in zip(EMOTIONS, values, strict=True)}
