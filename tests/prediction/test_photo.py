"""Every photo becomes upright RGB pixels; everything else becomes one sentence, quickly."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer.errors import UserError
from fer.prediction import photo
from fer.prediction.photo import decode_photo, read_photo
from fer.storage import PROJECT

from .corpus import bad_photos, bomb_png, deep_photos, encode, good_photos, picture, with_orientation

GOOD = good_photos()
BAD = bad_photos()


@pytest.mark.parametrize("case", GOOD)
def test_decodes_every_format(case):
    content, expected, tolerance = GOOD[case]
    pixels = decode_photo(content)
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() <= tolerance


@pytest.mark.parametrize("case", BAD)
def test_refuses_everything_else_in_one_sentence(case):
    started = time.perf_counter()
    with pytest.raises(UserError) as error:
        decode_photo(BAD[case], "holiday.jpg")
    assert time.perf_counter() - started < 3
    message = str(error.value)
    assert "holiday.jpg" in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "AVIF", "HEIF"])
def test_eight_orientations_give_the_same_pixels(fmt):
    options = {"lossless": True} if fmt == "WEBP" else {} if fmt == "PNG" else {"quality": 95}
    upright = picture()
    for orientation in range(1, 9):
        pixels = decode_photo(with_orientation(upright, orientation, fmt, **options))
        assert pixels.shape == upright.shape, orientation
        limit = 4 if "quality" in options else 0
        assert np.abs(pixels.astype(int) - upright).mean() <= limit, orientation


def test_sixteen_bits_are_scaled_not_clipped():
    levels = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    pixels = decode_photo(encode(Image.fromarray(levels), "PNG", mode=""))
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 0.02 * 255


@pytest.mark.parametrize("case", ["png rgb", "png rgba", "png grey and alpha", "heic"])
def test_more_than_eight_bits_equal_scaled_eight_bits(case):
    fine, scaled = deep_photos()[case]
    difference = np.abs(decode_photo(fine).astype(int) - scaled)
    assert difference.mean() <= 0.02 * 255
    assert case == "heic" or difference.max() <= 1


def test_transparent_pixels_are_white():
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:, 20:] = (10, 20, 30, 255)
    shown = decode_photo(encode(Image.fromarray(pixels), "PNG", mode=""))
    assert (shown[:, :20] == 255).all()
    assert (shown[:, 20:] == (10, 20, 30)).all()


@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
def test_large_photos_are_reduced_while_decoding(fmt):
    large = np.tile(picture(900, 600)[None], (1, 1, 1, 1))[0].repeat(6, axis=0).repeat(6, axis=1)
    pixels = decode_photo(encode(large, fmt))  # 5400 × 3600, 19 megapixels
    assert pixels.shape == (1800, 2700, 3)
    assert pixels.shape[0] * pixels.shape[1] <= photo.WORKING_PIXELS


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_does_not_lose_the_photo():
    content = encode(picture(), "JPEG", exif=b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + bytes(7))
    assert decode_photo(content).shape == (240, 320, 3)


def test_a_video_appended_to_a_phone_photo_is_not_looked_at():
    content = encode(picture(), "JPEG", quality=95) + b"\xff\xda" * 1000
    assert decode_photo(content).shape == (240, 320, 3)


def test_the_byte_limit_is_checked_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(photo, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="limit"):
        decode_photo(encode(picture(), "PNG"))


def test_reads_files_and_says_what_is_wrong_with_a_path(tmp_path):
    path = tmp_path / "me.png"
    path.write_bytes(encode(picture(), "PNG"))
    assert read_photo(path).shape == (240, 320, 3)
    for wrong in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(UserError, match=r"no such file|not a file"):
            read_photo(wrong)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_refusing_takes_less_than_300_megabytes(tmp_path):
    """In a process of its own: the peak of a process never goes down again."""
    large = encode(picture(7000, 7000), "JPEG", progressive=True, subsampling=0)
    for number, content in enumerate([*BAD.values(), large[:-1000]]):
        (tmp_path / f"{number}.bin").write_bytes(content)
    program = (
        "import pathlib, sys\n"
        "from fer.errors import UserError\n"
        "from fer.prediction.photo import decode_photo\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.bin'):\n"
        "    try: decode_photo(path.read_bytes())\n"
        "    except UserError: pass\n"
        "    else: raise SystemExit(f'{path} was taken')\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(next(line.split()[1] for line in status.splitlines() if line.startswith('VmHWM')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 300_000  # kilobytes


@settings(max_examples=150, deadline=3000, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_damaged_files_give_pixels_or_a_sentence(case, data):
    content = bytearray(GOOD[case][0])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_photo(bytes(content[: data.draw(st.integers(1, len(content)))]))
    except UserError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype == np.uint8


def test_a_photo_just_under_the_limit_is_taken():
    assert decode_photo(bomb_png(7_000)).shape == (3500, 3500, 3)
