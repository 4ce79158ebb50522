"""Images from a folder or a zip: placed, checked, decoded in threads, the rest quarantined with a reason.

Zip members are read in memory and never extracted, so no name in an archive can reach a path. JPEG goes
through OpenCV (twice as fast as Pillow, and it lets other threads run), everything else through Pillow
with an allow-list of formats; sizes are read from the header before anything is decoded.
"""

import io
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np

from fer import storage
from fer.data.sources_layout import place_all
from fer.emotions import IMAGE_SIZE
from fer.errors import UserError

Progress = Callable[[float, str], None]
Reader = Callable[[int], bytes]

MAX_FILES = 1_000_000
IN_MEMORY = 100_000  # images; more are decoded into a file, so that memory stays flat
MAX_FILE_BYTES = 32_000_000
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
_CHUNK = 256


@dataclass
class Collected:
    """What a source yielded, before it becomes a `Dataset`.

    Attributes:
        images: (N, 48, 48) uint8.
        labels, splits: (N,) uint8.
        names: N unique names.
        parts: N finer names (`PublicTest`, …), or empty when the file names tell.
        quarantined: `{where, reason}` of every file or row that was seen and not imported.
        converted: images that were colour or of another size.
        warnings: sentences for the user.
    """

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: list[str]
    parts: list[str] = field(default_factory=list)
    quarantined: list[dict[str, str]] = field(default_factory=list)
    converted: int = 0
    warnings: list[str] = field(default_factory=list)


def collect_folder(folder: Path, progress: Progress) -> Collected:
    """Every image below `folder`; links to folders are not followed."""
    paths: list[str] = []
    for root, _folders, files in os.walk(folder, followlinks=False):
        below = Path(root).relative_to(folder).as_posix()
        paths += files if below == "." else [f"{below}/{file}" for file in files]
        if len(paths) > MAX_FILES:
            raise UserError(f"{folder} holds more than {MAX_FILES:,} files; choose the data set's folder.")
    return collect(paths, lambda position: _read_below(folder, paths[position]), progress)


def collect(paths: list[str], read: Reader, progress: Progress) -> Collected:
    """Place, read and decode the files called `paths`; `read` gives the bytes of the one at a position.

    Beside its pixels (`pixel_store`) an image costs its name and a few bytes in arrays: there may be a
    million. Images come sorted by name, so that a folder and a zip of it give the same data set.
    """
    placed = place_all(paths)
    images = pixel_store(len(placed.names))
    converted = 0
    wrong: dict[int, str] = {}
    for done, changed, reasons in _decoded(placed.positions, read, images):
        converted += changed
        wrong |= reasons
        progress(done / len(images), f"Read {done:,} of {len(images):,} images")
    good = np.ones(len(images), dtype=bool)
    good[list(wrong)] = False
    refused = [{"where": paths[placed.positions[row]], "reason": reason} for row, reason in wrong.items()]
    return Collected(
        images=_compacted(images, np.flatnonzero(good)),
        labels=placed.labels[good],
        splits=placed.splits[good],
        names=list(compress(placed.names, good)) if wrong else placed.names,
        parts=list(compress(placed.parts, good)),
        quarantined=sorted(placed.quarantined + refused, key=lambda entry: entry["where"]),
        converted=converted,
        warnings=placed.warnings,
    )


def pixel_store(count: int) -> np.ndarray:
    """(N, 48, 48) uint8 to be filled; above `IN_MEMORY` images in a file without a name in the cache.

    Raises:
        UserError: there is no room for it on the disk.
    """
    shape = (count, IMAGE_SIZE, IMAGE_SIZE)
    if count <= IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    folder = storage.cache_directory()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, count * IMAGE_SIZE**2)  # full: said now
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    except OSError as error:
        raise storage.disk_error(error, folder) from error


def _compacted(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows that were decoded, moved to the front in place: no second copy of all pixels."""
    if len(rows) == len(images):
        return images
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        images[start : start + len(chosen)] = images[chosen]  # reads a copy first; rows only move forward
    return images[: len(rows)]


def decode(content: bytes) -> tuple[np.ndarray, bool]:
    """One encoded image as ((48, 48) uint8 grey, whether it had to be converted).

    Raises:
        UserError: it is empty, truncated, too large or in no allowed format.
    """
    import cv2

    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"file of {len(content):,} bytes; the limit is {MAX_FILE_BYTES:,}")
    if content[:3] == b"\xff\xd8\xff":
        _check_jpeg(content)
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR)
        except cv2.error:
            image = None
        if image is None:
            raise UserError("damaged JPEG")
        colour = image.ndim == 3
        if colour:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    else:
        image, colour = _decode_with_pillow(content)
    converted = colour or image.shape != (IMAGE_SIZE, IMAGE_SIZE)
    if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
        shrinks = max(image.shape) > IMAGE_SIZE
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        image = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=method)
    return image, converted


def _decoded(
    positions: np.ndarray, read: Reader, images: np.ndarray
) -> Iterator[tuple[int, int, dict[int, str]]]:
    """Fill `images` chunk by chunk; yields how many are done, and of the chunk what `_decode_chunk` says."""
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 2)
    starts = range(0, len(positions), _CHUNK)
    try:
        tasks = [
            pool.submit(_decode_chunk, positions[start : start + _CHUNK], read, images[start:], start)
            for start in starts
        ]
        for start, task in zip(starts, tasks, strict=True):
            yield min(start + _CHUNK, len(positions)), *task.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(
    positions: np.ndarray, read: Reader, images: np.ndarray, start: int
) -> tuple[int, dict[int, str]]:
    """(how many had to be converted, `{row: what is wrong with it}`)."""
    changed, reasons = 0, {}
    for row, position in enumerate(positions.tolist()):
        try:
            images[row], converted = decode(read(position))
            changed += converted
        except UserError as error:
            reasons[start + row] = str(error)
    return changed, reasons


def _check_jpeg(content: bytes) -> None:
    """Read the header's segments: refuse what is too large or lacks its end (OpenCV would fill it grey)."""
    position = 2
    while position + 9 < len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _check_size(*struct.unpack_from(">HH", content, position + 5))
        if marker == 0xDA:
            if content.rfind(b"\xff\xd9", position) < 0:
                raise UserError("truncated JPEG")
            return
        position += 1 if marker == 0xFF else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    raise UserError("damaged JPEG")


def _decode_with_pillow(content: bytes) -> tuple[np.ndarray, bool]:
    """((H, W) uint8 grey, whether it was colour or 16 bits deep)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise UserError("empty file")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _check_size(*opened.size)
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F":
                raise UserError("image of floating-point numbers; save it with 8 or 16 bits")
            if image.mode.startswith("I"):
                deep = np.asarray(image, dtype=np.float64)
                return np.clip(deep / 257 + 0.5, 0, 255).astype(np.uint8), True
            return np.asarray(image.convert("L")), image.mode != "L"
    except UnidentifiedImageError:
        raise UserError(f"no image in one of the formats {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"more than {MAX_PIXELS:,} pixels") from None
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise UserError(f"damaged image ({type(error).__name__})") from error


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise UserError(f"image of {width} x {height} pixels; the limit is {MAX_PIXELS:,} pixels")


def _read_below(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if not path.is_file():
            raise UserError("not a regular file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"file of {path.stat().st_size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})") from error
