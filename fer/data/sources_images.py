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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from fer import storage
from fer.data.dataset import SPLITS
from fer.data.sources_layout import Place, is_litter, place
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError

Progress = Callable[[float, str], None]
Reader = Callable[[], bytes]

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
    entries: list[tuple[str, Reader]] = []
    for root, _folders, files in os.walk(folder, followlinks=False):
        for file in files:
            path = Path(root, file).relative_to(folder).as_posix()
            entries.append((path, partial(_read_below, folder, path)))  # small: there may be a million
            if len(entries) > MAX_FILES:
                raise UserError(
                    f"{folder} holds more than {MAX_FILES:,} files; choose the data set's folder."
                )
    return collect(entries, progress)


def collect(entries: list[tuple[str, Reader]], progress: Progress) -> Collected:
    """Place, read and decode `(path, reader)` entries.

    Returns images sorted by name, so that a folder and a zip of it give the same data set.
    """
    places, quarantined, warned = _place_all([entry for entry in entries if not is_litter(entry[0])])
    del entries  # hundreds of thousands of them are as large as many images
    images = pixel_store(len(places))
    outcomes: list[str | bool] = []
    for chunk in _decoded(places, images):
        outcomes += chunk
        progress(len(outcomes) / len(places), f"Read {len(outcomes):,} of {len(places):,} images")
    good = [row for row, outcome in enumerate(outcomes) if not isinstance(outcome, str)]
    quarantined += [
        {"where": places[row][1], "reason": outcome}
        for row, outcome in enumerate(outcomes)
        if isinstance(outcome, str)
    ]
    found = [places[row][0] for row in good]
    return Collected(
        images=_compacted(images, good),
        labels=np.array([EMOTIONS.index(p.emotion) for p in found], dtype=np.uint8),
        splits=np.array([SPLITS.index(p.split) for p in found], dtype=np.uint8),
        names=[p.name for p in found],
        parts=_parts(found),
        quarantined=sorted(quarantined, key=lambda entry: entry["where"]),
        converted=sum(outcome is True for outcome in outcomes),
        warnings=warned,
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


def _compacted(images: np.ndarray, rows: list[int]) -> np.ndarray:
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


def _place_all(
    entries: list[tuple[str, Reader]],
) -> tuple[list[tuple[Place, str, Reader]], list[dict[str, str]], list[str]]:
    """Entries that name a split and class, sorted by name; the quarantined others; warnings."""
    found = [(place(path), path, reader) for path, reader in sorted(entries, key=lambda entry: entry[0])]
    flat = not any(isinstance(spot, Place) and spot.split for spot, _, _ in found)
    placed: dict[str, tuple[Place, str, Reader]] = {}
    quarantined = []
    for spot, path, reader in found:
        if isinstance(spot, Place) and not spot.split:
            spot = replace(spot, split="train") if flat else "not below a train, validation or test folder"
        if isinstance(spot, Place) and spot.name in placed:
            spot = f"has the same split, class and file name as {placed[spot.name][1]}"
        if isinstance(spot, Place):
            placed[spot.name] = (spot, path, reader)
        else:
            quarantined.append({"where": path, "reason": spot})
    warned = []
    if flat and placed:
        warned.append("There are class folders but no train or test folder, so every image counts as train.")
    unknown = sum("class folder" in entry["reason"] for entry in quarantined)
    if unknown:
        example = next(entry for entry in quarantined if "class folder" in entry["reason"])
        warned.append(
            f"{unknown:,} images were left out; the first, {example['where']}: {example['reason']}."
        )
    return [placed[name] for name in sorted(placed)], quarantined, warned


def _decoded(places: list[tuple[Place, str, Reader]], images: np.ndarray) -> Iterator[list[str | bool]]:
    """Fill `images` chunk by chunk; yields for each image whether it was converted, or what is wrong."""
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 2)
    try:
        starts = range(0, len(places), _CHUNK)
        chunks = [(places[start : start + _CHUNK], images[start : start + _CHUNK]) for start in starts]
        for future in [pool.submit(_decode_chunk, *chunk) for chunk in chunks]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(places: list[tuple[Place, str, Reader]], images: np.ndarray) -> list[str | bool]:
    outcomes: list[str | bool] = []
    for row, (_, _, read) in enumerate(places):
        try:
            images[row], converted = decode(read())
            outcomes.append(converted)
        except UserError as error:
            outcomes.append(str(error))
    return outcomes


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


def _parts(places: list[Place]) -> list[str]:
    """Finer split names, only where a folder gave one; else `Dataset.parts` reads the file names."""
    if not any(spot.part for spot in places):
        return []
    return [spot.part or spot.file.split("_", 1)[0] for spot in places]
