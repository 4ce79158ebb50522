"""The head in three dimensions: an ellipsoid with a jaw, its pose, and where its points fall in a picture.

Head units: half the distance between the pupils is 0.32 (about 31.5 mm), so one unit is about 98 mm; x to
the picture's right, y down from the eye line, z towards the viewer. Proportions follow Farkas,
"Anthropometry of the Head and Face" (1994): chin 1.14 below the eyes, cheekbones 0.72 to each side.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from fer.data.demo.people import Person

CENTRE = np.array([0.0, 0.05, -0.55])  # of the ellipsoid
RADIUS_X, RADIUS_Z = 0.80, 0.95
RADIUS_ABOVE, RADIUS_BELOW = 1.20, 1.55
PIVOT = np.array([0.0, 0.35, -0.10])
_DISTANCE = 8.0  # of the camera, in head units
_RINGS = [
    (np.sqrt(1 - height**2) * np.cos(angle), height, np.sqrt(1 - height**2) * np.sin(angle))
    for height in (-1.0, -0.8, -0.55, -0.3, 0.0)
    for angle in np.arange(20) * (np.pi / 10)
]
_UPPER_SPHERE = np.array(_RINGS)
_ACROSS = np.linspace(-0.66, 0.66, 13)
_CHEEKS = np.array([[side * 0.55, y] for side in (-1, 1) for y in (-0.10, 0.11, 0.32, 0.54, 0.75)])
FRAME = 48 / 26.0  # side of the square that FER-2013 would cut out, in head units


@dataclass(frozen=True)
class Pose:
    """Where a head is and where it looks: degrees, and pixels on the canvas.

    Positive yaw turns to the picture's right, positive pitch looks up, positive roll leans clockwise.
    `centre` is where the middle of the face falls, `scale` is pixels per head unit.
    """

    yaw: float
    pitch: float
    roll: float
    centre: tuple[float, float]
    scale: float

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3): head to camera axes."""
        yaw, pitch, roll = np.deg2rad([self.yaw, self.pitch, self.roll])
        about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return about_z @ about_x @ about_y

    @cached_property
    def offset(self) -> np.ndarray:
        """(2,) camera x, y of the middle of the face, so that it falls on `centre`."""
        middle = self.rotation @ (np.array([0.0, 0.42, 0.20]) - PIVOT)
        return np.asarray(middle[:2])


@dataclass(frozen=True)
class Head:
    """A person's head in a pose, the jaw dropped by `jaw` head units."""

    person: Person
    pose: Pose
    jaw: float = 0.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) head units to (N, 2) pixels, in perspective."""
        turn, shift = self._affine
        camera = points @ turn + shift
        near = (_DISTANCE * self.pose.scale) / (_DISTANCE - camera[:, 2:])
        return np.asarray(camera[:, :2] * near + self.pose.centre)

    @cached_property
    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        turn = self.pose.rotation.T
        return turn, -PIVOT @ turn - np.append(self.pose.offset, 0.0)

    def at(self, points: np.ndarray, lift: float = 0.0) -> np.ndarray:
        """(N, 2) positions on the face, head units, to (N, 2) pixels; `lift` raises them off the skin."""
        solid = np.empty((len(points), 3))
        solid[:, :2] = points
        solid[:, 2] = surface(points[:, 0], points[:, 1]) + lift
        return self.project(solid)

    def curve(self, x: np.ndarray, y: np.ndarray | float, lift: float = 0.0) -> np.ndarray:
        """A curve on the face, x and y (N,) in head units, to (N, 2) pixels."""
        points = np.empty((len(x), 2))
        points[:, 0], points[:, 1] = x, y
        return self.at(points, lift)

    def curves(self, x: np.ndarray, y: np.ndarray | float, lift: float = 0.0) -> np.ndarray:
        """A curve and its mirror image: (2, N, 2) pixels, the left side of the picture first."""
        points = np.empty((2, len(x), 2))
        points[0, :, 0], points[1, :, 0], points[:, :, 1] = -x, x, y
        return self.at(points.reshape(-1, 2), lift).reshape(2, -1, 2)

    @cached_property
    def contour(self) -> np.ndarray:
        """(N, 3) from the right temple round the chin to the left temple."""
        p, jaw = self.person, self.jaw
        half = np.array(
            [
                (0.68 * p.forehead, -0.40, -0.34),
                (0.72 * p.cheeks, -0.05, -0.32),
                (0.725 * p.cheeks, 0.25, -0.30),
                (0.66 * p.cheeks, 0.55 + 0.15 * jaw, -0.28),
                (0.57 * p.jaw, 0.80 + 0.5 * jaw, -0.20),
                (0.42 * p.jaw, 1.00 * p.length + 0.9 * jaw, -0.02),
                (0.21 * p.jaw, 1.13 * p.length + jaw, 0.14),
            ]
        )
        chin = np.array([[0.0, 1.16 * p.length + jaw, 0.18]])
        return np.concatenate([half, chin, half[::-1] * np.array([-1, 1, 1])])

    @cached_property
    def hairline(self) -> np.ndarray:
        """(N, 2) on the face, from the left temple over the forehead to the right one."""
        x = _ACROSS * self.person.forehead
        return np.column_stack([x, self.person.hairline + 0.95 * np.abs(x) ** 3.0])

    @cached_property
    def outline(self) -> np.ndarray:
        """(N, 2) pixels: the visible skin of the face, hairline to chin."""
        front = _CHEEKS * np.array([self.person.cheeks, 1.0])
        points = np.concatenate([self.project(self.contour), self.at(np.concatenate([self.hairline, front]))])
        return smooth_hull(points)

    def cap(self, volume: float, down: float) -> np.ndarray:
        """(N, 2) pixels: outline of the hair on the skull, `volume` units thick, down to y = `down`."""
        radii = np.array(
            [RADIUS_X - 0.03 + volume, RADIUS_ABOVE - 0.12 + volume, RADIUS_Z - 0.05 + 0.6 * volume]
        )
        side = (0.70 + volume) * self.person.cheeks
        ends = np.array([[side, down, -0.45], [-side, down, -0.45]])
        return smooth_hull(self.project(np.concatenate([CENTRE + radii * _UPPER_SPHERE, ends])))


def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth z of the face at x, y (head units), nose and sockets left to the shading."""
    down = y - 0.05
    tall = np.where(down > 0, RADIUS_BELOW**-2, RADIUS_ABOVE**-2)
    inside = 1 - x * x * RADIUS_X**-2 - down * down * tall
    return np.asarray(-0.55 + RADIUS_Z * np.sqrt(np.maximum(inside, 0.02)))


def smooth_hull(points: np.ndarray) -> np.ndarray:
    """The convex hull (N, 2) of pixel positions, corners rounded."""
    from fer.data.demo.canvas import smooth

    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return smooth(hull, 2)
