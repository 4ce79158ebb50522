"""Large colour photos of the same faces, with the squares FER-2013 would cut out: to test photo upload."""

from collections.abc import Sequence

import numpy as np

from fer.data.demo.canvas import Canvas
from fer.data.demo.effects import paint_background
from fer.data.demo.expressions import full_units
from fer.data.demo.faces import paint_person
from fer.data.demo.geometry import FRAME, Pose
from fer.data.demo.people import sample_person
from fer.data.demo.scenes import sample_scene
from fer.data.demo.shading import Light
from fer.emotions import EMOTIONS
from fer.errors import UserError

Box = tuple[int, int, int, int]


def draw_photo(
    seed: int = 0, width: int = 1200, height: int = 900, faces: int = 1, emotions: Sequence[str] | None = None
) -> tuple[np.ndarray, list[Box]]:
    """A colour photo of people facing the camera.

    Args:
        seed: the same seed draws the same photo.
        width, height: pixels.
        faces: how many people, side by side.
        emotions: one expression for each; default neutral and happy in turn.

    Returns:
        (height, width, 3) uint8 RGB, and for each face from the left the square (x, y, width, height) that
        frames it as FER-2013 does: eyes at 40 % of its height, chin at its lower edge.

    Raises:
        UserError: the faces would be smaller than 40 pixels, or emotions do not fit.
    """
    rng = np.random.default_rng([seed, 21])
    emotions = list(emotions) if emotions else [("neutral", "happy")[n % 2] for n in range(faces)]
    if len(emotions) != faces or faces < 1 or not set(emotions) <= set(EMOTIONS):
        raise UserError(
            f"{faces} faces with the expressions {emotions} cannot be drawn; give one of {EMOTIONS} for each."
        )
    side = min(height * 0.50, width / faces * 0.62)
    if side < 40:
        raise UserError(f"{faces} faces do not fit in {width} × {height}; the smallest face is 40 pixels.")
    canvas = Canvas(height, width, 3)
    paint_background(canvas, sample_scene(rng, 1), rng)
    light = Light((float(rng.uniform(-0.5, 0.5)), -0.55, 1.0), 0.50, 0.60, 0.10)
    boxes = []
    for position, emotion in enumerate(emotions):
        size = side * rng.uniform(0.86, 1.0)
        centre = (
            (position + 0.5) * width / faces + rng.normal(0, 0.02) * side,
            height * 0.52 + rng.normal(0, 0.03) * side,
        )
        person = sample_person(int(rng.integers(100_000)))
        pose = Pose(rng.normal(0, 4), rng.normal(0, 2.5), rng.normal(0, 3), centre, size / FRAME)
        glasses = person.glasses if person.glasses != "sun" else ""
        paint_person(
            canvas,
            person,
            full_units(emotion, 0.8),
            pose,
            light,
            cloth=tuple(rng.uniform(20, 220, 3)),
            glasses=glasses,
        )
        boxes.append(
            (round(centre[0] - size / 2), round(centre[1] - size * 29.3 / 48), round(size), round(size))
        )
    grain = rng.normal(0, 2.5, canvas.pixels.shape).astype(np.float32)
    return np.clip(np.rint(canvas.pixels + grain), 0, 255).astype(np.uint8), boxes
