"""What surrounds, covers and degrades a face: background, occlusion, watermark, exposure, blur, noise."""

import cv2
import numpy as np

from fer.data.demo.canvas import Canvas, ellipse, ribbon
from fer.data.demo.hair import paint_hair
from fer.data.demo.portrait import Portrait
from fer.data.demo.scenes import Scene


def paint_background(canvas: Canvas, scene: Scene, rng: np.random.Generator, around: float = 135.0) -> None:
    """A plain wall, a gradient, blurred shapes or bars, its grey level spread about `around`."""
    height, width = canvas.shape
    colour = canvas.tone(np.clip(rng.normal(around, 62) + rng.normal(0, 14, 3), 8, 250))
    canvas.pixels[:] = colour
    if scene.background == 1:
        ramp = np.linspace(rng.uniform(0.5, 0.9), rng.uniform(1.0, 1.3), width, dtype=np.float32)
        canvas.pixels *= ramp[None, :, None]
    elif scene.background == 2:
        coarse = rng.uniform(0.4, 1.5, (5, 5)).astype(np.float32)
        canvas.pixels *= cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    elif scene.background == 3:
        for _ in range(4):
            low = rng.uniform(0, width, 2)
            box = np.array(
                [[low[0], 0], [low[0] + width * 0.16, 0], [low[1] + width * 0.16, height], [low[1], height]]
            )
            canvas.shade([box], float(rng.uniform(0.45, 1.5)), blur=width * 0.012)


def cover_face(art: Portrait, scene: Scene, rng: np.random.Generator) -> None:
    """Paint the occlusion: a hand over some part of the face, a lock of hair, a thing held up."""
    head, canvas = art.head, art.canvas
    side = 1 if rng.random() < 0.5 else -1
    if scene.occlusion == "hand":
        low = rng.uniform(0.15, 1.0)
        _draw_hand(art, side * rng.uniform(0.25, 0.7), low, side, np.array(head.person.skin))
    elif scene.occlusion == "hair":
        a = np.linspace(0, 1, 12)
        x = side * (0.10 + 0.45 * a**1.4)
        lock = ribbon(head.at(np.column_stack([x, -0.66 + 1.3 * a]), 0.12), art.px(0.17) * (1 - 0.6 * a))
        paint_hair(art, canvas.mask([lock], art.px(0.02)), head.person.hair, 0.95)
    elif scene.occlusion == "object":
        corner = head.at(np.array([[side * rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.9)]]))[0]
        angle = np.deg2rad(rng.uniform(-25, 25))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        box = np.array([[0, 0], [side * 1.5, 0], [side * 1.5, 1.6], [0, 1.6]]) * art.px(1.0)
        canvas.fill([corner + box @ turn.T], canvas.tone(rng.uniform(20, 235, 3)), 1.0, art.px(0.01))


def _draw_hand(art: Portrait, x: float, y: float, side: int, skin: np.ndarray) -> None:
    """Four fingers and a palm coming from below and the side."""
    head, canvas = art.head, art.canvas
    tip = head.at(np.array([[x, y]]))[0]
    scale = art.px(1.0)
    lean = np.deg2rad(-24 * side)
    turn = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    tone = art.lit(skin * 0.94, tip, 0.6)
    palm = ellipse(tip + turn @ np.array([0, 0.75]) * scale, (0.36 * scale, 0.45 * scale), np.rad2deg(lean))
    canvas.fill([palm], tone, 1.0, art.px(0.012))
    for finger in range(4):
        offset = (finger - 1.5) * 0.17
        length = (0.62, 0.72, 0.68, 0.52)[finger]
        start = tip + turn @ np.array([offset, 0.70]) * scale
        end = tip + turn @ np.array([offset * 1.2, 0.70 - length]) * scale
        steps = np.linspace(0, 1, 8)[:, None]
        line = start + (end - start) * steps
        taper = 0.088 * scale * np.sqrt(np.clip(1.06 - np.linspace(0, 1, 8) ** 6, 0, 1))
        canvas.shade([ribbon(line + 0.02 * scale, taper * 1.25)], 0.72, art.px(0.02))
        canvas.fill([ribbon(line, taper)], tone, 1.0, art.px(0.008))


def stamp_watermark(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Stock-photo text, with or without a pair of diagonal stripes, on a (S, S) float32 picture."""
    size = image.shape[0]
    layer = np.zeros(image.shape, dtype=np.uint8)
    height = float(rng.uniform(0.30, 0.95)) * size
    font = 0.0105 * size * float(rng.uniform(0.8, 1.25))
    left = int(rng.uniform(-0.25, 0.2) * size)
    cv2.putText(
        layer,
        scene.watermark,
        (left, int(height)),
        cv2.FONT_HERSHEY_SIMPLEX,
        font,
        255,
        max(1, size // 48),
        cv2.LINE_AA,
    )
    if rng.random() < 0.35:
        gap = int(rng.uniform(0.2, 0.6) * size)
        for start in (-gap, size - gap):
            cv2.line(layer, (start, size), (start + size, 0), 160, max(1, size // 64), cv2.LINE_AA)
    ink = 255.0 if rng.random() < 0.7 else 0.0
    alpha = layer.astype(np.float32) / 255 * scene.watermark_strength
    return image + (ink - image) * alpha


def finish(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Set brightness and contrast, stamp, shrink to 48 × 48, blur, add noise: (48, 48) uint8.

    Mean and standard deviation are set to the scene's own, so that an open mouth or white teeth change
    neither: they are drawn without knowing the label.
    """
    image = _level(image, scene.brightness, scene.contrast)
    if scene.watermark:
        image = stamp_watermark(image, scene, rng)
    small = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    if scene.blur > 0.2:
        small = cv2.GaussianBlur(small, (0, 0), scene.blur)
    if scene.noise > 0:
        small = small + np.asarray(rng.normal(0, scene.noise, small.shape), dtype=np.float32)
    small = _level(small, scene.brightness, scene.contrast)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _level(image: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """Shift and scale grey levels to a mean and a standard deviation, twice, because clipping moves them.

    No more than 1.8-fold at a time: stretched further, a face on a wall of its own grey would burn out.
    """
    for _ in range(2):
        middle, spread = (float(value[0, 0]) for value in cv2.meanStdDev(image))
        image = np.clip((image - middle) * min(deviation / max(spread, 1.0), 1.8) + mean, 0, 255)
    return np.asarray(image, dtype=np.float32)
