"""Faces that appear while hovering a map of images.

`st.plotly_chart` reports selections to Python but no hovering, and a chart's own labels hold no pictures.
So a component without any output of its own lies beside the chart: it listens to the chart's hover event in
the browser and draws the face from sheets that were sent along once. Nothing comes from the network, and
hovering runs no Python.
"""

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import streamlit as st

FOLDER = Path(__file__).parent / "components"
COLUMNS = 32
PER_SHEET = COLUMNS**2
LARGE, LARGE_TILE, SMALL_TILE = 12_000, 48, 32  # maps of more images get smaller faces: 11 MB, not 25
JPEG_QUALITY = 70


def pack(images: np.ndarray, indices: np.ndarray, captions: list[str], chart: str) -> bytes:
    """Sheets of faces for the component.

    Args:
        images: (N, 48, 48) uint8 of the whole data set.
        indices: (M,) of the images on the map; what the chart's `customdata` holds.
        captions: M texts below the faces.
        chart: key of the `st.plotly_chart`.

    Returns:
        Length of the header (4 bytes, little-endian), the header as JSON, then JPEGs of up to 32 × 32 faces.
    """
    tile = LARGE_TILE if len(indices) <= LARGE else SMALL_TILE
    sheets = [_sheet(images[indices[n : n + PER_SHEET]], tile) for n in range(0, len(indices), PER_SHEET)]
    header = json.dumps(
        {
            "chart": chart,
            "tile": tile,
            "columns": COLUMNS,
            "per_sheet": PER_SHEET,
            "sizes": [len(sheet) for sheet in sheets],
            "indices": [int(index) for index in indices],
            "captions": captions,
        }
    ).encode()
    return struct.pack("<I", len(header)) + header + b"".join(sheets)


def faces(packed: bytes, key: str) -> None:
    """Mount the component for a chart that is on the same page."""
    _component()(key=key, data=packed)


@cache
def _component() -> Any:
    css, js = ((FOLDER / f"map_hover.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return st.components.v2.component("map_hover", css=css, js=js)


def _sheet(images: np.ndarray, tile: int) -> bytes:
    """Up to 1,024 faces, 32 a row, as one JPEG."""
    rows = -(-len(images) // COLUMNS)
    cells = np.full((rows * COLUMNS, tile, tile), 128, dtype=np.uint8)
    for n, image in enumerate(images):
        cells[n] = (
            image if tile == len(image) else cv2.resize(image, (tile, tile), interpolation=cv2.INTER_AREA)
        )
    sheet = (
        cells.reshape(rows, COLUMNS, tile, tile).transpose(0, 2, 1, 3).reshape(rows * tile, COLUMNS * tile)
    )
    return cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
