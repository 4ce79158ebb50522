"""Soft light on a head: normals of an ellipsoid with bumps for nose, sockets, cheeks and chin.

Each pixel's ray is intersected with the ellipsoid (a quadratic), the bumps are a height field of Gaussians
over the face whose gradient tilts the normal (bump mapping, Blinn 1978), and the light is Lambert's cosine
law softened by wrapping it round the terminator, plus a small Blinn–Phong highlight.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from fer.data.demo.expressions import Units
from fer.data.demo.geometry import (
    CENTRE,
    PIVOT,
    RADIUS_ABOVE,
    RADIUS_BELOW,
    RADIUS_X,
    RADIUS_Z,
    Head,
)


@dataclass(frozen=True)
class Light:
    """Direction towards the lamp in camera axes (x right, y down, z to the viewer), and how hard it is."""

    direction: tuple[float, float, float]
    ambient: float
    diffuse: float
    gloss: float


def bumps(head: Head, units: Units) -> np.ndarray:
    """(K, 5) x, y, width, height of each Gaussian and its rise, all in head units."""
    p, jaw = head.person, head.jaw
    nose = 0.45 * p.nose_length
    cheek = 0.06 + 0.07 * units[6] + 0.03 * units[12]
    rows = [
        (0.0, 0.10, 0.075, 0.20, 0.07),
        (0.0, nose - 0.07, 0.10 * p.nose_width, 0.11, 0.15),
        (0.0, nose - 0.25, 0.08 * p.nose_width, 0.14, 0.05),
        (0.0, p.mouth_height, 0.24, 0.15, 0.05),
        (0.0, 0.93 + 0.8 * jaw, 0.15, 0.05, -0.045),
        (0.0, 1.06 + jaw, 0.16, 0.10, 0.06 + 0.03 * units[17]),
        (0.0, -0.48, 0.40, 0.20, 0.03),
        (0.0, -0.19, 0.07, 0.06, 0.05 * units[4] - 0.01),
    ]
    for side in (-1, 1):
        eye = side * p.eye_distance
        rows += [
            (side * 0.11 * p.nose_width, nose - 0.01, 0.055, 0.055, 0.055),
            (eye, -0.01, 0.17, 0.11, -0.065),
            (eye, 0.01, 0.12, 0.07, 0.045),
            (eye * 0.9, p.brow_height + 0.02 + 0.05 * units[4], 0.20, 0.06, 0.035 + 0.03 * units[4]),
            (side * (0.40 + 0.02 * units[12]), 0.34 - 0.09 * units[6] - 0.03 * units[12], 0.17, 0.13, cheek),
            (side * 0.45, 0.66, 0.13, 0.18, -0.02 - 0.02 * p.age),
        ]
    return np.array(rows, dtype=np.float32)


def illuminate(
    head: Head, light: Light, units: Units, rows: slice, columns: slice, cells: int = 44
) -> tuple[np.ndarray, np.ndarray]:
    """Light and highlight falling on each pixel of a box: two (h, w) float32, 1 is a fully lit white.

    Computed on a grid of about `cells`² and enlarged, because shading is smooth.
    """
    height, width = rows.stop - rows.start, columns.stop - columns.start
    step = max(1.0, max(height, width) / cells)
    grid_h, grid_w = round(height / step), round(width / step)
    y, x = np.mgrid[0:grid_h, 0:grid_w].astype(np.float32)
    pose = head.pose
    scale = pose.scale * 1.035
    offset_x, offset_y = pose.offset.tolist()  # Python numbers keep the arrays float32
    camera_x = ((x + 0.5) * (width / grid_w) + columns.start - pose.centre[0]) / scale + offset_x
    camera_y = ((y + 0.5) * (height / grid_h) + rows.start - pose.centre[1]) / scale + offset_y
    normal, hit_x, hit_y = _ellipsoid(camera_x.ravel(), camera_y.ravel(), pose.rotation.astype(np.float32))
    slope_x, slope_y = _slopes(hit_x, hit_y, bumps(head, units))
    normal[0] -= slope_x * np.maximum(normal[2], 0)
    normal[1] -= slope_y * np.maximum(normal[2], 0)
    normal /= np.sqrt((normal**2).sum(axis=0))
    lamp = pose.rotation.T @ np.array(light.direction)
    lamp = (lamp / np.sqrt(lamp @ lamp)).astype(np.float32)
    cosine = lamp @ normal
    wrap = 0.25
    lit = light.ambient + light.diffuse * np.maximum((cosine + wrap) / (1 + wrap), 0)
    lit *= 1 - 0.35 * np.clip(0.45 - (pose.rotation.T[:, 2].astype(np.float32) @ normal), 0, 1)
    half = lamp + pose.rotation.T[:, 2]
    half /= np.sqrt(half @ half)
    gloss = np.maximum(half.astype(np.float32) @ normal, 0) ** 2
    gloss_4 = gloss * gloss
    gloss = light.gloss * gloss * gloss_4 * gloss_4 * gloss_4  # to the 14th; `**` is slow
    enlarge = (width, height)
    shade = cv2.resize(lit.reshape(grid_h, grid_w), enlarge, interpolation=cv2.INTER_LINEAR)
    shine = cv2.resize(gloss.reshape(grid_h, grid_w), enlarge, interpolation=cv2.INTER_LINEAR)
    return shade, shine


def _ellipsoid(
    x: np.ndarray, y: np.ndarray, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal (3, M) in head axes and head x, y (M,) where each camera ray meets the ellipsoid."""
    start = rotation[:2].T @ np.stack([x, y]) + (PIVOT - CENTRE).astype(np.float32)[:, None]
    direction = rotation[2]
    below = np.where(start[1] + 0.4 * direction[1] > 0, np.float32(RADIUS_BELOW), np.float32(RADIUS_ABOVE))
    shrink = np.stack([np.full_like(x, 1 / RADIUS_X), 1 / below, np.full_like(x, 1 / RADIUS_Z)])
    o, d = start * shrink, direction[:, None] * shrink
    a, b, c = (d * d).sum(axis=0), (o * d).sum(axis=0), (o * o).sum(axis=0) - 1
    depth = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / a
    hit = start + direction[:, None] * depth
    normal = hit * shrink * shrink
    normal /= np.maximum(np.sqrt((normal**2).sum(axis=0)), 1e-6)
    return normal, hit[0] + np.float32(CENTRE[0]), hit[1] + np.float32(CENTRE[1])


def _slopes(x: np.ndarray, y: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the height field at M positions."""
    dx = (x - table[:, 0:1]) / table[:, 2:3]
    dy = (y - table[:, 1:2]) / table[:, 3:4]
    rise = table[:, 4:5] * np.exp(-(dx * dx + dy * dy))
    return (-2 * rise * dx / table[:, 2:3]).sum(axis=0), (-2 * rise * dy / table[:, 3:4]).sum(axis=0)
