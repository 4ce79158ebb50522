"""Many photos, or a zip of them: one result per file, as they are finished, and rows for a table.

A zip is untrusted: its members are read one at a time with a cap on what each may unpack to, their names
are only shown, and nothing is written to disk.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.prediction import photo as photos
from fer.prediction.faces import Face, crop_face, find_faces
from fer.prediction.predictor import NO_FACE, FacePrediction, Options, Predictor

MAX_ZIP_BYTES = 500_000_000
MAX_MEMBERS = 5_000
WORKERS = 2
AT_ONCE = 4  # photos decoded before their crops are predicted together


@dataclass(frozen=True)
class PhotoResult:
    """What became of one file: faces, or the sentence that says why there are none."""

    name: str
    faces: list[FacePrediction] = field(default_factory=list)
    error: str | None = None


def predict_files(
    predictor: Predictor, files: Iterable[tuple[str, bytes | UserError]], options: Options | None = None
) -> Iterator[PhotoResult]:
    """A result for each (name, content), in order, as they are finished.

    Decoding and detection run on two threads, `AT_ONCE` photos are in memory at a time, and their crops
    are predicted in one batch. A content that is a `UserError` (from `read_zip`) becomes that error.
    """
    remaining = iter(files)
    with ThreadPoolExecutor(WORKERS) as pool:
        while group := list(islice(remaining, AT_ONCE)):
            seen = list(pool.map(_look, group))
            everyone = [pair for pairs, _ in seen for pair in pairs]
            answers = predictor.predict_faces([f for f, _ in everyone], [c for _, c in everyone], options)
            for (name, _), (pairs, error) in zip(group, seen, strict=True):
                yield PhotoResult(name, answers[: len(pairs)], error)
                answers = answers[len(pairs) :]


def read_zip(content: bytes) -> Iterator[tuple[str, bytes | UserError]]:
    """(name, content) of each file in a zip; folders and what macOS adds are skipped.

    A member that is not a photo by its name, encrypted, damaged or too large comes as a `UserError`.

    Raises:
        UserError: not a zip, too large, or too many members.
    """
    archive = _archive(content)
    with archive:
        for member in _members(archive):
            yield member.filename, _member(archive, member)


def zip_photos(content: bytes) -> list[str]:
    """The names that `read_zip` will give; nothing is unpacked.

    Raises:
        UserError: as `read_zip`.
    """
    with _archive(content) as archive:
        return [member.filename for member in _members(archive)]


def _archive(content: bytes) -> zipfile.ZipFile:
    if len(content) > MAX_ZIP_BYTES:
        raise UserError(
            f"The zip has {len(content) / 1e6:.0f} MB, the limit is {MAX_ZIP_BYTES // 10**6} MB; split it."
        )
    try:
        return zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise UserError("The file is not a zip, or damaged; make a new zip of the photos.") from error


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [m for m in archive.infolist() if m.filename[-1:] not in ("", "/") and not _hidden(m.filename)]
    if len(members) > MAX_MEMBERS:
        raise UserError(f"The zip has {len(members)} files, the limit is {MAX_MEMBERS}; split it.")
    return members


def table_rows(results: Iterable[PhotoResult]) -> list[dict[str, Any]]:
    """One row per face, and one per file without a face: for a table or a CSV file."""
    rows: list[dict[str, Any]] = []
    for result in results:
        for number, face in enumerate(result.faces, 1):
            x, y, width, height = face.box
            row = {"file": result.name, "face": number, "emotion": face.emotion, "sure": face.sure}
            row |= {"confidence": face.confidence, "x": x, "y": y, "width": width, "height": height}
            rows.append(row | {emotion: face.ensemble[emotion] for emotion in EMOTIONS} | {"error": None})
        if not result.faces:
            rows.append({"file": result.name, "face": None, "error": result.error})
    return rows


def _look(file: tuple[str, bytes | UserError]) -> tuple[list[tuple[Face, np.ndarray]], str | None]:
    name, content = file
    if isinstance(content, UserError):
        return [], str(content)
    try:
        photo = photos.decode_photo(content, name)
    except UserError as error:
        return [], str(error)
    pairs = [(face, crop_face(photo, face)) for face in find_faces(photo)]
    return pairs, None if pairs else NO_FACE


def _hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith(".")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | UserError:
    label = f"The photo {member.filename[:200]!r}"
    if not photos.is_photo_name(member.filename):
        return UserError(f"{label} is not a photo by its name; use a {photos.FORMAT_NAMES} photo.")
    try:
        with archive.open(member) as file:
            content = file.read(photos.MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError):
        return UserError(f"{label} is encrypted or damaged in the zip; add it again.")
    return content  # one byte more than the limit is refused by the decoder
