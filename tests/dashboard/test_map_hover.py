"""What the map sends along for hovering: every face once, in sheets that fit the header."""

import json
import struct

import cv2
import numpy as np
import pytest

from dashboard.map_hover import COLUMNS, LARGE_TILE, PER_SHEET, SMALL_TILE, pack


def unpacked(packed: bytes) -> tuple[dict, list[np.ndarray]]:
    """Header and decoded sheets."""
    (length,) = struct.unpack_from("<I", packed)
    header, position, sheets = json.loads(packed[4 : 4 + length]), 4 + length, []
    for size in header["sizes"]:
        sheets.append(cv2.imdecode(np.frombuffer(packed, np.uint8, size, position), cv2.IMREAD_GRAYSCALE))
        position += size
    assert position == len(packed)
    return header, sheets


@pytest.mark.parametrize(("large", "tile"), [(12_000, LARGE_TILE), (1000, SMALL_TILE)])
def test_every_face_is_where_the_header_says(monkeypatch, large, tile):
    monkeypatch.setattr("dashboard.map_hover.LARGE", large)
    flat = (np.arange(1100) % 250).astype(np.uint8)
    images = np.repeat(flat, 48 * 48).reshape(1100, 48, 48)
    indices = np.arange(1, 1100)
    header, sheets = unpacked(pack(images, indices, [str(n) for n in indices], "map"))
    assert header["indices"] == list(range(1, 1100))
    assert (header["tile"], header["per_sheet"], len(sheets)) == (tile, PER_SHEET, 2)
    for position in (0, 31, 32, 1023, 1024, 1098):
        number, within = divmod(position, PER_SHEET)
        row, column = divmod(within, COLUMNS)
        cell = sheets[number][row * tile + 8 : row * tile + 24, column * tile + 8 : column * tile + 24]
        assert abs(cell.mean() - flat[indices[position]]) < 4


def test_a_map_without_images_packs_nothing():
    header, sheets = unpacked(pack(np.zeros((3, 48, 48), np.uint8), np.arange(0), [], "map"))
    assert sheets == []
    assert header["indices"] == []
