"""Heat maps as pictures and as numbers; NumPy and OpenCV only."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.emotions import IMAGE_SIZE
from fer.errors import UserError

# (top, left, bottom, right) in FER-2013's crop, read off the mean of 3,000 of its faces.
REGIONS: dict[str, tuple[int, int, int, int]] = {"eyes": (11, 6, 24, 42), "mouth": (31, 12, 44, 36)}
BORDER = 4  # pixels from the edge: background, hair and watermarks


def overlay(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.5, scale: int = 1) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the grey image with the heat map over it in the colours of Inferno.

    Args:
        image: (h, w) uint8.
        heatmap: (h, w) float in [0, 1].
        opacity: 0 shows the image only, 1 the map only.
        scale: enlarge by this whole number: H = scale · h.
    """
    import cv2

    if not 0 <= opacity <= 1:
        raise UserError(f"The opacity is {opacity:g}; give a number from 0 to 1.")
    if image.shape != heatmap.shape:
        raise UserError(f"The image is {image.shape} and the map {heatmap.shape}; they must be equal.")
    size = (image.shape[1] * scale, image.shape[0] * scale)
    grey = cv2.resize(np.ascontiguousarray(image, np.uint8), size, interpolation=cv2.INTER_NEAREST)
    heat = cv2.resize(np.asarray(heatmap, np.float32), size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((np.clip(heat, 0, 1) * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    blended = (1 - opacity) * grey[..., None] + opacity * colours[..., ::-1]
    return blended.round().astype(np.uint8)


def mean_map(heatmaps: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(48, 48) float32 mean of (N, 48, 48) maps."""
    if len(heatmaps) == 0:
        raise UserError("There are no maps to average; choose at least one image.")
    return np.asarray(np.mean(np.asarray(heatmaps), axis=0), np.float32)


def heat_shares(heatmap: np.ndarray) -> dict[str, float]:
    """Share of the heat on `eyes`, `mouth`, `border` and `elsewhere`, sum 1; all 0 for an empty map.

    A map of even heat has the shares of the areas, `area_shares()`: compare with these.
    """
    total = float(heatmap.sum())
    return {name: float(heatmap[mask].sum()) / total if total > 0 else 0.0 for name, mask in _masks().items()}


def area_shares() -> dict[str, float]:
    """Share of the image that each region of `heat_shares` covers."""
    return {name: float(mask.mean()) for name, mask in _masks().items()}


def _masks() -> dict[str, np.ndarray]:
    masks: dict[str, Any] = {}
    for name, (top, left, bottom, right) in REGIONS.items():
        masks[name] = np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
        masks[name][top:bottom, left:right] = True
    border = np.ones((IMAGE_SIZE, IMAGE_SIZE), bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    masks["border"] = border
    masks["elsewhere"] = ~np.any(list(masks.values()), axis=0)
    return masks
