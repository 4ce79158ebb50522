"""Faces as HTML: every picture inside one sheet, every text inert."""

import base64
import re

import cv2
import numpy as np

from dashboard.gallery import COLUMNS, gallery_html, png_data_uri, sheet


def decoded(address: str, flag: int) -> np.ndarray:
    """Pixels of a base64 PNG."""
    return cv2.imdecode(np.frombuffer(base64.b64decode(address), np.uint8), flag)


def sheets(page: str) -> list[str]:
    """The base64 PNGs of a grid."""
    return re.findall(r"url\(data:image/png;base64,([^)]+)\)", page)


def test_the_picture_in_the_page_has_the_pixels_of_the_image():
    image = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    uri = png_data_uri(image)
    assert uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(decoded(uri.split(",", 1)[1], cv2.IMREAD_GRAYSCALE), image)


def test_colours_are_not_swapped():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert decoded(png_data_uri(red).split(",", 1)[1], cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 255]  # BGR


def test_hostile_names_stay_text():
    images = np.zeros((1, 48, 48), np.uint8)
    page = gallery_html(images, ["<img src=x onerror=alert(1)>"], ['"><script>alert(1)</script>'])
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror=alert(1)>" not in page
    assert re.search(r'title="&quot;&gt;&lt;script', page)


def test_one_figure_for_each_image_with_its_border():
    page = gallery_html(np.zeros((3, 48, 48), np.uint8), ["a", "b", "c"], tones=["good", "bad", ""])
    assert page.count("<figure") == 3
    assert [page.count(colour) for colour in ("#2b8a3e", "#e03131", "border-color:transparent")] == [1, 1, 1]


def test_a_page_of_faces_is_one_sheet_and_each_cell_shows_its_own():
    """The part of the sheet that a cell's position names is the cell's image."""
    images = np.random.default_rng(0).integers(0, 256, (100, 48, 48), dtype=np.uint8)
    page = gallery_html(images)
    (found,) = sheets(page)
    pixels = decoded(found, cv2.IMREAD_GRAYSCALE)
    assert pixels.shape == (7 * 48, COLUMNS * 48)
    assert f"background-size:{100 * COLUMNS}% 700%" in page
    positions = re.findall(r"background-position:([\d.]+)% ([\d.]+)%", page)
    assert len(positions) == 100
    for image, (across, down) in zip(images, positions, strict=True):
        # CSS: the point at p % of the picture lies on the point at p % of the cell.
        left = round(float(across) / 100 * (pixels.shape[1] - 48))
        top = round(float(down) / 100 * (pixels.shape[0] - 48))
        np.testing.assert_array_equal(pixels[top : top + 48, left : left + 48], image)


def test_grey_and_coloured_pictures_of_any_size_share_a_grid():
    images = [np.zeros((48, 48), np.uint8), np.zeros((96, 64, 3), np.uint8), np.ones((48, 48), np.uint8)]
    page = gallery_html(images)
    assert len(sheets(page)) == 2
    assert page.count("<figure") == 3
    assert "aspect-ratio:64/96" in page
    assert gallery_html([]).count("<figure") == 0
    assert sheet(np.ones((3, 4, 5, 3), np.uint8)).shape == (4, 15, 3)
