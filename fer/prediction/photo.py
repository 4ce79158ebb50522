"""Photos from anywhere, decoded safely: bytes of any phone or browser photo → (H, W, 3) uint8 RGB.

The bytes are untrusted. Only formats on an allow-list are opened, with Pillow (and pillow-heif for
iPhone photos); the size in the header is checked before a pixel is decoded; whatever a decoder raises
becomes one sentence. Nothing is written to disk. TIFF and BMP are refused on purpose: neither phones
nor browsers produce them, and libtiff is a large target.

Measured with Pillow 13: EXIF orientation is ignored and 16-bit greys are clipped to white unless the
caller does something about them, so both are done here.
"""

import struct
import warnings
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.errors import UserError

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF")
FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, AVIF or GIF"
SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".gif")

MAX_BYTES = 64_000_000
MAX_PIXELS = 50_000_000
MIN_SIDE = 24
# A 12-megapixel phone photo is kept as it is; larger ones are reduced while they are decoded.
WORKING_PIXELS = 12_500_000
# Each scan of a progressive JPEG costs a pass over all pixels; cameras write about ten.
MAX_JPEG_SCANS = 100

# Pillow warns above 89 megapixels; every size above MAX_PIXELS is refused here, so nobody needs it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class TooSmall(UserError):
    """A photo, but one in which no face could be seen."""


def decode_photo(content: bytes, name: str = "") -> np.ndarray:
    """Decode a photo: upright, in colour, without transparency, at most `WORKING_PIXELS` large.

    Args:
        content: the file, JPEG, PNG, WebP, HEIC, AVIF or GIF (first frame), at most `MAX_BYTES`
            bytes and `MAX_PIXELS` pixels.
        name: its name, for messages.

    Returns:
        (H, W, 3) uint8 RGB. Transparent pixels are shown on white, 16-bit greys scaled to 8 bits,
        all eight EXIF orientations applied.

    Raises:
        UserError: empty, too large, too small, another format, or damaged; one sentence.
    """
    label = f"The photo {name!r}" if name else "The photo"
    content = bytes(content)
    _check_bytes(content, label)
    try:
        with _open(content) as image:
            _check_size(image, label)
            return _pixels(image)
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{label} has more than {_limit()}; send a smaller copy.") from error
    except UnidentifiedImageError as error:
        raise UserError(_not_a_photo(content, label)) from error
    except Exception as error:  # decoders raise anything on hostile bytes; each means the same here
        raise UserError(_damaged(label)) from error


def read_photo(path: str | Path) -> np.ndarray:
    """Decode the photo in a file; see `decode_photo`. The size is checked before it is read.

    Raises:
        UserError: no such file, not a file, not readable, or not a photo.
    """
    path = Path(path)
    label = f"The photo {path.name!r}"
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{str(path)!r} is not a file; give the path of a photo.")
        if size > MAX_BYTES:
            raise UserError(_too_many_bytes(size, label))
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"Cannot read the photo {str(path)!r}: {reason}.") from error
    return decode_photo(content, path.name)


def is_photo_name(name: str) -> bool:
    """Whether a file name looks like a photo that `decode_photo` takes."""
    return Path(name).suffix.lower() in SUFFIXES


def _open(content: bytes) -> Image.Image:
    _register_heif()
    return Image.open(BytesIO(content), formats=FORMATS)


@cache
def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def _pixels(image: Image.Image) -> np.ndarray:
    width, height = image.size
    factor = _reduction(width * height)
    if factor > 1 and image.format in ("JPEG", "MPO"):
        image.draft(None, (width // factor, height // factor))  # decodes at 1/2, 1/4 or 1/8
    image.load()
    orientation = _orientation(image)
    factor = _reduction(image.size[0] * image.size[1])
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    if factor > 1:
        image = _direct(image).reduce(factor)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    image = image.convert("RGB")
    if orientation in _TRANSPOSE:
        image = image.transpose(_TRANSPOSE[orientation])
    return np.array(image, dtype=np.uint8)


def _direct(image: Image.Image) -> Image.Image:
    """Palette and bilevel images cannot be averaged; everything else stays."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("L") if image.mode == "1" else image


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey levels 0–65535 → 0–255; `Image.convert` would clip them."""
    levels = np.asarray(image).astype(np.uint16, copy=False)
    return Image.fromarray(cv2.convertScaleAbs(levels, alpha=255 / 65535))


def _reduction(pixels: int) -> int:
    """The smallest whole factor that brings `pixels` down to about `WORKING_PIXELS`."""
    factor = 1
    while pixels / factor**2 > WORKING_PIXELS:
        factor += 1
    return factor


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1–8; 1 when it is missing or damaged: a photo is more than its metadata."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except (SyntaxError, struct.error, ValueError, TypeError, LookupError, OSError, EOFError):
        return 1


def _check_bytes(content: bytes, label: str) -> None:
    if not content:
        raise UserError(f"{label} is empty (0 bytes); choose another file.")
    if len(content) > MAX_BYTES:
        raise UserError(_too_many_bytes(len(content), label))
    if content[:3] == b"\xff\xd8\xff":
        _check_jpeg(content, label)


def _check_jpeg(content: bytes, label: str) -> None:
    """Refuse a JPEG that ends before its end marker, or that costs a pass over the pixels too often.

    Both are found without decoding: between the first scan and the end marker, 0xFF of the image data
    is always followed by 0x00. What phones append behind the end marker (videos, depth) is not looked at.
    """
    position = 2
    while content[position : position + 1] == b"\xff" and content[position + 1 : position + 2] != b"\xda":
        filler = content[position + 1 : position + 2] == b"\xff"
        position += 1 if filler else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    end = content.find(b"\xff\xd9", position)
    if end < 0:
        raise UserError(_damaged(label))
    scans = content.count(b"\xff\xda", position, end)
    if scans > MAX_JPEG_SCANS:
        raise UserError(
            f"{label} has {scans} progressive scans, the limit is {MAX_JPEG_SCANS}; save it again."
        )


def _check_size(image: Image.Image, label: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UserError(f"{label} has {width} × {height} pixels, more than {_limit()}; send a smaller copy.")
    if min(width, height) < MIN_SIDE:
        raise TooSmall(
            f"{label} has {width} × {height} pixels, too few for a face; each side needs at least {MIN_SIDE}."
        )


def _damaged(label: str) -> str:
    return f"{label} is damaged or incomplete and cannot be decoded; save or download it again."


def _limit() -> str:
    return f"{MAX_PIXELS // 1_000_000} megapixels"


def _too_many_bytes(size: int, label: str) -> str:
    return f"{label} has {size / 1e6:.0f} MB, the limit is {MAX_BYTES // 1_000_000} MB; send a smaller copy."


def _not_a_photo(content: bytes, label: str) -> str:
    head = content[:1024].lstrip().lower()
    if b"<svg" in head:
        kind = "an SVG drawing"
    elif head.startswith(b"%pdf"):
        kind = "a PDF document"
    elif head[:4] in (b"ii*\0", b"mm\0*") or head.startswith(b"bm"):
        kind = "a TIFF or BMP image"
    elif head.isascii() and b"\0" not in head:
        kind = "text"
    else:
        kind = "damaged, or in a format that is not known here"
    return f"{label} is {kind}; use a {FORMAT_NAMES} photo."
