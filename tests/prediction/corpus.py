"""Photos and non-photos made by the tests: every format and orientation a phone or browser produces,
and what else may be uploaded. Nothing here contains an image of FER-2013.
"""

import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from fer.prediction.photo import _register_heif

_register_heif()  # so that the tests can write HEIC too
ORIENTATION = 0x0112


def picture(width: int = 320, height: int = 240, seed: int = 3) -> np.ndarray:
    """(H, W, 3) uint8 smooth random colours, different in every corner."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encode(pixels: np.ndarray | Image.Image, fmt: str, mode: str = "RGB", **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode:
        image = image.convert(mode)
    buffer = BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def good_photos() -> dict[str, tuple[bytes, np.ndarray, float]]:
    """`{case: (file, expected RGB pixels, mean difference allowed)}`."""
    colour = picture()
    grey = np.asarray(Image.fromarray(colour).convert("L").convert("RGB"))
    bilevel = np.asarray(Image.fromarray(colour).convert("1").convert("RGB"))
    lossy, exact, palette = 4.0, 0.0, 20.0
    cases = {
        "jpeg": (encode(colour, "JPEG", quality=95), colour, lossy),
        "jpeg progressive": (encode(colour, "JPEG", quality=95, progressive=True), colour, lossy),
        "jpeg grey": (encode(colour, "JPEG", "L", quality=95), grey, lossy),
        "jpeg cmyk": (encode(colour, "JPEG", "CMYK", quality=95), colour, lossy),
        "png": (encode(colour, "PNG"), colour, exact),
        "png grey": (encode(colour, "PNG", "L"), grey, exact),
        "png opaque alpha": (encode(colour, "PNG", "RGBA"), colour, exact),
        "png grey and alpha": (encode(colour, "PNG", "LA"), grey, exact),
        "png palette": (encode(colour, "PNG", "P"), colour, palette),
        "png bilevel": (encode(colour, "PNG", "1"), bilevel, exact),
        "png 16 bit": (encode(colour, "PNG", "I;16"), grey, exact),
        "webp": (encode(colour, "WEBP", quality=95), colour, lossy),
        "webp lossless": (encode(colour, "WEBP", lossless=True), colour, exact),
        "heic": (encode(colour, "HEIF", quality=95), colour, lossy),
        "avif": (encode(colour, "AVIF", quality=95), colour, lossy),
        "gif": (encode(colour, "GIF"), colour, palette),
        "gif animated": (
            encode(colour, "GIF", save_all=True, append_images=[Image.new("RGB", (320, 240))]),
            colour,
            palette,
        ),
    }
    return cases


def deep_photos() -> dict[str, tuple[bytes, np.ndarray]]:
    """`{case: (file with 16 bits a channel, or 10 in HEIC, its pixels scaled to 8 bits)}`."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 65_536, (6, 8, 3), dtype=np.uint16)
    fine = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    eight = np.round(fine / 257).astype(np.uint8)
    alpha = np.full((240, 320, 1), 65_535, np.uint16)
    png = {
        "png rgb": cv2.imencode(".png", fine[..., ::-1])[1].tobytes(),
        "png rgba": cv2.imencode(".png", np.concatenate([fine[..., ::-1], alpha], axis=2))[1].tobytes(),
    }
    cases = {case: (content, eight) for case, content in png.items()}
    grey = fine[..., :1]
    cases["png grey and alpha"] = (_deep_png(np.concatenate([grey, alpha], axis=2)), eight[..., :1])
    heic = pillow_heif.from_bytes("RGB;16", (320, 240), np.ascontiguousarray(fine).tobytes())
    buffer = BytesIO()
    heic.save(buffer, quality=95)
    return cases | {"heic": (buffer.getvalue(), eight)}


def bad_photos() -> dict[str, bytes]:
    """What must be refused, each with one sentence."""
    colour = picture()
    jpeg, png = encode(colour, "JPEG", quality=95), encode(colour, "PNG")
    heic, avif = encode(colour, "HEIF"), encode(colour, "AVIF")
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>'
    big = struct.pack(">II", 65_000, 65_000)
    return {
        "empty": b"",
        "text": b"this is not a photo\n" * 40,
        "zeros": bytes(5000),
        "svg": svg,
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "bmp": encode(colour, "BMP"),
        "tiff": encode(colour, "TIFF"),
        "tiny": encode(colour[:1, :1], "PNG"),
        "narrow": encode(np.zeros((20_000, 8, 3), np.uint8), "PNG"),
        "jpeg truncated": jpeg[: len(jpeg) // 2],
        "jpeg header only": jpeg[:300],
        "jpeg bomb": _resized_jpeg(jpeg, 65_000, 65_000),
        "jpeg with many scans": jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") : -2] * 200 + b"\xff\xd9",
        "png truncated": png[: len(png) // 2],
        "png corrupt": png[:2000] + bytes(500) + png[2500:],
        "png bomb 30000": bomb_png(30_000),
        "png bomb 12000": bomb_png(12_000),
        "png bomb 7100": bomb_png(7_100),
        "png text bomb": _text_bomb(png),
        "gif bomb": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encode(colour, "GIF")[10:],
        "gif truncated": encode(colour, "GIF")[:700],
        "webp truncated": encode(colour, "WEBP", lossless=True)[:900],
        "webp bomb": _resized_webp(encode(colour, "WEBP", "RGBA", lossless=True), 16_383, 16_383),
        "heic truncated": heic[: len(heic) // 2],
        "heic bomb": heic.replace(struct.pack(">II", 320, 240), big),
        "avif truncated": avif[: len(avif) // 2],
        "avif bomb": avif.replace(struct.pack(">II", 320, 240), big),
    }


def with_orientation(upright: np.ndarray, orientation: int, fmt: str = "PNG", **options) -> bytes:
    """A file whose EXIF orientation makes it show `upright`."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(np.ascontiguousarray(undo(upright)), fmt, exif=exif.tobytes(), **options)


def bomb_png(side: int) -> bytes:
    """A bilevel PNG of `side`² black pixels: 30,000² is 110 kB."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _deep_png(values: np.ndarray) -> bytes:
    """A PNG of (H, W, 2) uint16 grey levels and alpha; neither Pillow nor OpenCV writes those."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    data = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def _text_bomb(png: bytes) -> bytes:
    """A compressed comment of 200 MB in front of the pixels."""
    comment = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    return png[:33] + comment + png[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _resized_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    start = jpeg.index(b"\xff\xc0") + 5  # marker, length, precision
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def _resized_webp(webp: bytes, width: int, height: int) -> bytes:
    """Claim a canvas in a VP8X header put in front of the image."""
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + canvas
    body = b"WEBP" + chunk + webp[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body
