"""Small data sets in every shape a user may bring: folders, zips, csv."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np

from fer.emotions import CSV_ORDER, EMOTIONS


def picture(seed: int, size: int = 48, colour: bool = False) -> np.ndarray:
    """A smooth random image, so that JPEG keeps it."""
    random = np.random.default_rng(seed)
    shape = (6, 6, 3) if colour else (6, 6)
    return cv2.resize(random.integers(0, 256, shape, dtype=np.uint8), (size, size))


def encoded(image: np.ndarray, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def release_files(per_class: int = 3, splits=("train", "test"), suffix: str = ".jpg") -> dict[str, bytes]:
    """`{path: content}` in the release's layout."""
    prefix = {"train": "Training", "validation": "Validation", "test": "PublicTest"}
    files = {}
    for split in splits:
        for label, emotion in enumerate(EMOTIONS):
            for n in range(per_class):
                seed = 1000 * splits.index(split) + 100 * label + n
                files[f"{split}/{emotion}/{prefix[split]}_{seed}{suffix}"] = encoded(picture(seed), suffix)
    return files


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def csv_row(seed: int, emotion: object = None, usage: str | None = "Training") -> str:
    emotion = seed % 7 if emotion is None else emotion
    pixels = " ".join(map(str, picture(seed).ravel()))
    return f"{emotion},{pixels}" + (f",{usage}" if usage is not None else "")


def csv_label(number: int) -> int:
    """The index in `EMOTIONS` of a label number of the csv."""
    return EMOTIONS.index(CSV_ORDER[number])
