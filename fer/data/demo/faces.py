"""Draw one face or many: 48 × 48 pictures, and a record of everything that was chosen to make them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.data.demo.body import draw_behind, draw_glasses
from fer.data.demo.canvas import Canvas
from fer.data.demo.creases import gather_creases, gather_folds
from fer.data.demo.effects import cover_face, finish, paint_background
from fer.data.demo.expressions import Units, sample_units
from fer.data.demo.eyes import draw_brows, draw_eyes, shade_sockets
from fer.data.demo.geometry import Head, Pose
from fer.data.demo.hair import draw_beard, draw_front_hair
from fer.data.demo.mouth import draw_mouth, draw_nose, mouth_curves, shade_chin
from fer.data.demo.people import Person, sample_person
from fer.data.demo.portrait import Portrait
from fer.data.demo.scenes import Scene, sample_scene
from fer.data.demo.shading import Light, illuminate
from fer.emotions import EMOTIONS
from fer.errors import UserError

CANVAS_SIZE = 96  # pixels drawn for 48: twice over, then averaged
Factors = dict[str, Any]


def draw_faces(
    labels: Sequence[int] | np.ndarray | int, seed: int = 0, identities: int | None = None
) -> tuple[np.ndarray, list[Factors]]:
    """Draw faces.

    Args:
        labels: index into `EMOTIONS` for each face, or how many faces with labels in turn.
        seed: the same seed draws the same bytes, and the same conditions whatever the labels.
        identities: how many different people; default a third of the faces, at least 60.

    Returns:
        images (N, 48, 48) uint8, and for each its factors (identity, yaw, …, units, intensity).

    Raises:
        UserError: a label out of range.
    """
    if isinstance(labels, (int, np.integer)):
        labels = np.arange(int(labels)) % len(EMOTIONS)
    labels = np.asarray(labels, dtype=np.int64)
    if len(labels) and (labels.min() < 0 or labels.max() >= len(EMOTIONS)):
        raise UserError(f"Label {labels.max()} is out of range; use 0 to {len(EMOTIONS) - 1}.")
    identities = identities or max(60, len(labels) // 3)
    images = np.empty((len(labels), 48, 48), dtype=np.uint8)
    factors = []
    for position, label in enumerate(labels):
        images[position], record = draw_face(int(label), (seed, position), identities)
        factors.append(record)
    return images, factors


def draw_face(label: int, seed: tuple[int, int], identities: int = 1000) -> tuple[np.ndarray, Factors]:
    """One (48, 48) uint8 face and its factors; conditions and expression come from separate streams."""
    scene = sample_scene(np.random.default_rng([*seed, 1]), identities)
    units, intensity = sample_units(EMOTIONS[label], np.random.default_rng([*seed, 2]))
    rng = np.random.default_rng([scene.seed, 3])
    person = sample_person(scene.identity)
    image = render(person, units, scene, rng)
    record = scene.factors() | {
        "emotion": EMOTIONS[label],
        "intensity": intensity,
        "units": {str(unit): round(strength, 4) for unit, strength in units.items()},
        "glasses": person.glasses,
        "outlier": "",
    }
    return image, record


def render(person: Person, units: Units, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """(48, 48) uint8 grey picture of a person with an expression in a scene."""
    canvas = Canvas(CANVAS_SIZE, CANVAS_SIZE)
    paint_background(canvas, scene, rng, 0.9 * float(np.mean(person.skin)))
    art = paint_person(
        canvas,
        person,
        units,
        scene.pose(CANVAS_SIZE),
        scene.light(),
        cloth=tuple(rng.uniform(15, 230, 3)),
        gaze=(scene.gaze_x, scene.gaze_y),
        blink=scene.blink,
        glasses="sun" if scene.occlusion == "sunglasses" else person.glasses,
    )
    cover_face(art, scene, rng)
    return finish(canvas.pixels[..., 0], scene, rng)


def paint_person(
    canvas: Canvas,
    person: Person,
    units: Units,
    pose: Pose,
    light: Light,
    cloth: tuple[float, ...] = (90.0, 90.0, 90.0),
    gaze: tuple[float, float] = (0.0, 0.0),
    blink: float = 0.0,
    glasses: str = "",
) -> Portrait:
    """Paint head and shoulders on a canvas, back to front, and return the portrait for later layers."""
    head = Head(person, pose, jaw=0.17 * units[26])
    height, width = canvas.shape
    shade, shine = illuminate(
        head, light, units, slice(0, height), slice(0, width), cells=32 if width <= 96 else 128
    )
    art = Portrait(canvas, head, units, shade, gaze, blink)
    draw_behind(art, (cloth[0], cloth[1], cloth[2]))
    skin = canvas.mask([head.outline], blur=art.px(0.012))
    if skin is not None:
        tone = canvas.tone(person.skin) * shade[skin.rows, skin.columns][..., None]
        canvas.blend(skin, tone + 255 * shine[skin.rows, skin.columns][..., None])
    lips = mouth_curves(head, units)
    shade_sockets(art)
    shade_chin(art, lips)
    gather_folds(art)
    draw_nose(art)
    art.engrave_shadows()
    draw_eyes(art)
    draw_brows(art)
    draw_beard(art)
    draw_mouth(art, lips)
    gather_creases(art)
    art.engrave_lines()
    draw_front_hair(art)
    if glasses:
        draw_glasses(art, glasses)
    return art
