"""Faces side by side in one picture."""

import numpy as np

COLUMNS = 8


def sheet(images: np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """(N, H, W) uint8 → (rows · H, columns · W) uint8, row by row, the rest black."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[1:]
    filled = np.zeros((rows * columns, height, width), dtype=np.uint8)
    filled[: len(images)] = images
    return filled.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
