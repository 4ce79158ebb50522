"""Faces as HTML: every picture inside, every text inert."""

import base64
import re

import cv2
import numpy as np

from dashboard.gallery import gallery_html, png_data_uri


def test_the_picture_in_the_page_has_the_pixels_of_the_image():
    image = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    uri = png_data_uri(image)
    assert uri.startswith("data:image/png;base64,")
    content = np.frombuffer(base64.b64decode(uri.split(",", 1)[1]), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), image)


def test_colours_are_not_swapped():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    content = np.frombuffer(base64.b64decode(png_data_uri(red).split(",", 1)[1]), np.uint8)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)  # BGR
    assert decoded[0, 0].tolist() == [0, 0, 255]


def test_hostile_names_stay_text():
    images = np.zeros((1, 48, 48), np.uint8)
    page = gallery_html(images, ["<img src=x onerror=alert(1)>"], ['"><script>alert(1)</script>'])
    assert "<script" not in page
    assert "onerror=alert(1)>" not in page
    assert page.count("<img") == 1
    assert re.search(r'title="&quot;&gt;&lt;script', page)


def test_one_figure_for_each_image_with_its_border():
    page = gallery_html(np.zeros((3, 48, 48), np.uint8), ["a", "b", "c"], tones=["good", "bad", ""])
    assert page.count("<figure") == 3
    assert [page.count(colour) for colour in ("#2b8a3e", "#e03131", "border-color:transparent")] == [1, 1, 1]
