"""What is not the face: neck, shoulders, ears, the hair behind, and glasses in front."""

import numpy as np

from fer.data.demo.canvas import Mask, ellipse, ribbon, smooth
from fer.data.demo.hair import DOWN, LONG, VOLUME, paint_hair
from fer.data.demo.portrait import SIDES, Portrait


def _mirrored(right: list[list[float]]) -> np.ndarray:
    """(2N, 3) a closed outline from the points on its right half, head units."""
    half = np.array(right)
    return np.concatenate([half, half[::-1] * np.array([-1, 1, 1])])


_FALL = _mirrored([[0.70, -0.6, -0.5], [0.98, 0.2, -0.5], [1.02, 1.0, -0.5], [0.85, 1.75, -0.4]])
_NECK = _mirrored([[0.42, 0.6, -0.5], [0.45, 1.45, -0.45], [0.62, 1.9, -0.5]])
_UNDER_CHIN = np.array([[-0.44, 0.9, -0.4], [0.0, 1.45, 0.0], [0.44, 0.9, -0.4]])
_SHOULDERS = _mirrored(
    [[0.0, 1.85, -0.1], [0.5, 1.5, -0.45], [0.85, 1.66, -0.6], [1.9, 2.0, -0.7], [2.1, 3.6, -0.7]]
)


def draw_behind(art: Portrait, cloth: tuple[float, float, float]) -> None:
    """What the face hides: long hair, shoulders, neck, the hair on the skull, ears."""
    head, canvas, p = art.head, art.canvas, art.head.person
    if p.style in LONG:
        paint_hair(art, canvas.mask([smooth(head.project(_FALL))], art.px(0.02)), np.array(p.hair) * 0.75)
    neck = head.project(_NECK)
    middle = neck.mean(axis=0)
    canvas.fill([neck], art.lit(np.array(p.skin) * 0.62, middle, 0.7), blur=art.px(0.02))
    canvas.shade([smooth(head.project(_UNDER_CHIN))], 0.72, art.px(0.06))
    shoulders = head.project(_SHOULDERS)
    if shoulders[:, 1].min() < canvas.shape[0]:
        canvas.fill([smooth(shoulders)], art.lit(cloth, middle, 0.5), blur=art.px(0.02))
    if p.style == "bald":
        _lit_skin(art, canvas.mask([head.cap(0.02, 0.0)]))
    else:
        curly = p.style == "curly"
        skull = canvas.mask([head.cap(VOLUME[p.style], DOWN[p.style])], art.px(0.035 if curly else 0.015))
        paint_hair(art, skull, p.hair, curly=curly)
    if p.style not in LONG:
        _draw_ears(art)


def _lit_skin(art: Portrait, mask: Mask | None, tone: float = 1.0) -> None:
    if mask is not None:
        light = art.shade[mask.rows, mask.columns][..., None]
        art.canvas.blend(mask, light * art.canvas.tone(art.head.person.skin) * np.float32(tone))


_EAR = np.arange(14) * (2 * np.pi / 14)


def _draw_ears(art: Portrait) -> None:
    head, cheeks = art.head, art.head.person.cheeks
    sides = [side for side in SIDES if side * head.pose.yaw < 22]  # the other is turned away
    rim, hollow = np.empty((len(sides), 14, 3)), np.empty((len(sides), 14, 3))
    for place, side in enumerate(sides):
        wide = 0.085 - 0.02 * min(0.0, side * head.pose.yaw / 57)
        rim[place, :, 0] = side * 0.775 * cheeks + wide * np.cos(_EAR)
        hollow[place, :, 0] = side * 0.785 * cheeks + 0.5 * wide * np.cos(_EAR)
    rim[:, :, 1], hollow[:, :, 1] = 0.13 + 0.20 * np.sin(_EAR), 0.12 + 0.11 * np.sin(_EAR)
    points = head.project(np.concatenate([rim, hollow])[..., :2].reshape(-1, 2) @ _FLAT + _EAR_DEPTH)
    rims, hollows = points.reshape(2, len(sides), 14, 2)
    _lit_skin(art, art.canvas.mask(rims, art.px(0.01)), 0.86)
    art.canvas.shade(hollows, 0.70, art.px(0.02))


_FLAT, _EAR_DEPTH = np.eye(2, 3), np.array([0.0, 0.0, -0.52])


_GLASSES_DEPTH = 0.36


def draw_glasses(art: Portrait, kind: str) -> None:
    """Frames in front of the eyes; `sun` hides them."""
    head, canvas, p = art.head, art.canvas, art.head.person
    angle = np.arange(24) * (np.pi / 12)
    square = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.6
    high = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7
    size = {"thin": (0.215, 0.145), "thick": (0.225, 0.155), "sun": (0.25, 0.185)}[kind]
    width = {"thin": 0.012, "thick": 0.026, "sun": 0.018}[kind]
    rims, lenses = [], []
    for side in SIDES:
        x, y = side * (p.eye_distance + 0.01) + size[0] * square, 0.02 + size[1] * high
        points = head.project(np.column_stack([x, y, np.full(24, _GLASSES_DEPTH)]))
        lenses.append(points)
        closed = np.concatenate([points, points[:1]])
        rims.append(ribbon(closed, art.px(width)))
    front = _GLASSES_DEPTH
    bridge = head.project(
        np.array([[-0.12, -0.02, front], [0.0, -0.045, front + 0.02], [0.12, -0.02, front]])
    )
    arms = [
        head.project(np.array([[s * (p.eye_distance + size[0]), -0.04, front], [s * 0.76, -0.02, -0.4]]))
        for s in SIDES
    ]
    bars = [ribbon(bridge, art.px(width)), *(ribbon(arm, art.px(width)) for arm in arms)]
    metal = canvas.tone((70, 68, 66) if kind == "thin" else (24, 22, 22))
    if kind == "sun":
        canvas.fill(lenses, canvas.tone((22, 22, 26)), 0.93)
        glare = [
            ellipse(points.mean(axis=0) - art.px(0.07), (art.px(0.06), art.px(0.03)), -30)
            for points in lenses
        ]
        canvas.fill(glare, canvas.tone((200, 200, 205)), 0.35, art.px(0.02))
    else:
        canvas.fill(lenses, canvas.tone((225, 228, 232)), 0.07)
    canvas.fill([*rims, *bars], metal, 0.9)
