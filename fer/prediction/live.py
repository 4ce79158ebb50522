"""Predictions for a camera: each frame's faces matched with those of the frame before and smoothed over time.

A single frame of a moving face flickers between expressions. The probabilities of one face are averaged
exponentially, by the clock and not by the frame, so the rate of the camera does not change how it feels.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fer.errors import UserError
from fer.prediction.faces import Box
from fer.prediction.predictor import FacePrediction, Options, Predictor

OVERLAP = 0.2  # intersection over union from which on a face is the one of the frame before
FORGET = 1.0  # seconds after which a face that was not seen any more is a new one
LONGEST = 10.0  # seconds of smoothing
MAX_FRAME = 1_000_000  # bytes; a frame of 320 × 240 has about 15 thousand


@dataclass
class _Track:
    number: int
    box: Box
    seen: float
    values: dict[str, float] = field(default_factory=dict)


class LiveFaces:
    """One camera's predictions; make one for each camera.

    Args:
        predictor: the networks; their mean is shown.
        smoothing: seconds after which an answer weighs 1/e; 0 shows every frame as it is.
        unsure_below: as in `Options`.
    """

    def __init__(self, predictor: Predictor, smoothing: float = 0.5, unsure_below: float = 0.4):
        self.predictor = predictor
        self.configure(smoothing, unsure_below)
        self._tracks: list[_Track] = []
        self._next = 1

    def configure(self, smoothing: float, unsure_below: float) -> None:
        """Change the settings without forgetting the faces.

        Raises:
            UserError: smoothing outside 0–10 s, or a confidence outside [0, 1].
        """
        if not 0 <= smoothing <= LONGEST:
            raise UserError(f"Smoothing over {smoothing:g} s cannot be used; use 0 to {LONGEST:g} s.")
        self.options = Options(unsure_below=unsure_below)
        self.smoothing = smoothing

    def frame(self, content: bytes, now: float | None = None) -> list[dict[str, Any]]:
        """The faces in one frame, the largest first.

        Args:
            content: an image file, at most `MAX_FRAME` bytes.
            now: seconds on a clock that never goes back; by default this computer's.

        Returns:
            For each face `number` (the same as long as it is in the picture), `box` (x, y, width, height in
            pixels of the frame), `emotion`, `confidence`, `sure` and `probabilities`, smoothed.

        Raises:
            UserError: no picture, or one that is too large.
        """
        if len(content) > MAX_FRAME:
            raise UserError(
                f"A frame of {len(content) / 1e6:.1f} MB is above the limit of {MAX_FRAME / 1e6:.0f} MB."
            )
        return self.update(self.predictor.predict(content, self.options), now)

    def update(self, found: Sequence[FacePrediction], now: float | None = None) -> list[dict[str, Any]]:
        """As `frame`, for faces that were predicted already."""
        now = time.monotonic() if now is None else now
        free = [track for track in self._tracks if now - track.seen <= FORGET]
        tracks = []
        for face in found:
            track = max(free, key=lambda t: overlap(t.box, face.box), default=None)
            if track is None or overlap(track.box, face.box) < OVERLAP:
                track = _Track(self._next, face.box, now, dict(face.ensemble))
                self._next += 1
            else:
                free.remove(track)
                self._smooth(track, face.ensemble, now)
                track.box, track.seen = face.box, now
            tracks.append(track)
        self._tracks = tracks + free  # a face that is hidden for a moment keeps its number
        return [self._answer(track) for track in tracks]

    def _smooth(self, track: _Track, values: Mapping[str, float], now: float) -> None:
        kept = math.exp(-(now - track.seen) / self.smoothing) if self.smoothing > 0 else 0.0
        track.values = {name: kept * track.values[name] + (1 - kept) * values[name] for name in values}

    def _answer(self, track: _Track) -> dict[str, Any]:
        emotion = max(track.values, key=track.values.__getitem__)
        confidence = track.values[emotion]
        return {
            "number": track.number,
            "box": list(track.box),
            "emotion": emotion,
            "confidence": confidence,
            "sure": confidence >= self.options.unsure_below,
            "probabilities": dict(track.values),
        }


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0, across) * max(0, down)
    return common / max(a[2] * a[3] + b[2] * b[3] - common, 1)
