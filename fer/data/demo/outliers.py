"""Pictures that are in every scraped face data set and should not be: five kinds of outlier."""

import cv2
import numpy as np

from fer.data.demo.canvas import Canvas, ellipse, ribbon
from fer.errors import UnknownName

OUTLIER_KINDS = ("flat", "drawing", "covered", "text", "texture")
_SIZE = 96
_WORDS = (
    "image",
    "not",
    "found",
    "404",
    "photo",
    "removed",
    "error",
    "page",
    "login",
    "click here",
    "free",
    "video",
)


def draw_outliers(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """(count, 48, 48) uint8 outliers of one kind.

    Kinds: `flat` one flat colour; `drawing` a line drawing of a face; `covered` a face behind hands, a
    mask or a box; `text` a page of words; `texture` a patch without any face.

    Raises:
        UnknownName: there is no such kind.
    """
    painters = {"flat": _flat, "drawing": _drawing, "covered": _covered, "text": _text, "texture": _texture}
    if kind not in painters:
        raise UnknownName("kind of outlier", kind, OUTLIER_KINDS)
    images = np.empty((count, 48, 48), dtype=np.uint8)
    for position in range(count):
        images[position] = painters[kind](
            np.random.default_rng([seed, OUTLIER_KINDS.index(kind), position]), position
        )
    return images


def _flat(rng: np.random.Generator, position: int) -> np.ndarray:
    """A grey level of its own (up to 256 of them), so that flat images are not copies of each other."""
    del rng
    return np.full((48, 48), (position * 37) % 256, dtype=np.uint8)


def _drawing(rng: np.random.Generator, position: int) -> np.ndarray:
    canvas = Canvas(_SIZE, _SIZE, value=float(rng.uniform(215, 255)))
    ink, pen = canvas.tone(rng.uniform(0, 60, 3)), float(rng.uniform(1.0, 2.2))
    middle = np.array([48 + rng.normal(0, 3), 50 + rng.normal(0, 3)])
    head = ellipse(middle, (rng.uniform(30, 40), rng.uniform(34, 44)), points=40)
    canvas.fill([head], canvas.tone(rng.uniform(190, 255, 3)))
    canvas.fill([ribbon(np.concatenate([head, head[:1]]), pen)], ink)
    for side in (-1, 1):
        eye = middle + np.array([side * rng.uniform(12, 15), -9])
        big = rng.uniform(4, 9)
        ring = ellipse(eye, (big, big * 1.2))
        canvas.fill([ring], canvas.tone((255, 255, 255)))
        canvas.fill([ribbon(np.concatenate([ring, ring[:1]]), pen * 0.7)], ink)
        canvas.fill([ellipse(eye, (big * 0.4, big * 0.5))], ink)
        brow = eye + np.array([[-7, -13 + side * rng.normal(0, 2)], [7, -13 - side * rng.normal(0, 2)]])
        canvas.fill([ribbon(brow, pen)], ink)
    x = np.linspace(-14, 14, 9)
    mouth = middle + np.column_stack([x, 20 + rng.uniform(-0.03, 0.03) * (x**2 - 98)])
    nose = middle + np.array([[0.0, -4], [-5, 8], [3, 9]])
    canvas.fill([ribbon(mouth, pen), ribbon(nose, pen * 0.8)], ink)
    for _ in range(int(rng.integers(8, 24))):
        start = middle + np.array([rng.uniform(-34, 34), rng.uniform(-48, -30)])
        canvas.fill([ribbon(np.array([start, start + rng.normal(0, 7, 2)]), pen * 0.7)], ink)
    return _shrink(canvas.pixels[..., 0])


def _covered(rng: np.random.Generator, position: int) -> np.ndarray:
    from fer.data.demo.faces import draw_face

    image, _ = draw_face(int(rng.integers(7)), (int(rng.integers(2**31)), position))
    canvas = Canvas(_SIZE, _SIZE)
    canvas.pixels[..., 0] = cv2.resize(image, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC)
    style = int(rng.integers(3))
    if style == 0:  # both hands over the face
        tone = rng.uniform(90, 205)
        for finger in range(8):
            x = 10 + finger * 11 + rng.normal(0, 1.0)
            line = np.column_stack(
                [np.linspace(x, x + rng.normal(0, 4), 6), np.linspace(100, 14 + rng.uniform(0, 14), 6)]
            )
            canvas.shade([ribbon(line + 1.5, 7.5)], 0.5, 1.5)
            canvas.fill([ribbon(line, 5.6)], canvas.tone((tone, tone, tone)), blur=0.7)
    elif style == 1:  # a mask or scarf up to the eyes, a hat down to them
        for low, high in ((-5, 34 + rng.normal(0, 2)), (44 + rng.normal(0, 2), 110)):
            shade = rng.uniform(10, 240)
            canvas.fill(
                [np.array([[-5, low], [101, low], [101, high], [-5, high]])],
                canvas.tone((shade, shade, shade)),
                blur=1,
            )
    else:  # a censor's box
        canvas.fill(
            [np.array([[8, 18], [90, 18], [90, 86], [8, 86]]) + rng.normal(0, 3, (4, 2))],
            canvas.tone(rng.uniform(0, 255, 3)),
        )
    return _shrink(canvas.pixels[..., 0])


def _text(rng: np.random.Generator, position: int) -> np.ndarray:
    paper, ink = (rng.uniform(190, 255), rng.uniform(0, 80))
    if rng.random() < 0.4:
        paper, ink = ink, paper
    page = np.full((_SIZE * 2, _SIZE * 2), paper, dtype=np.float32)
    height = 20.0
    while height < _SIZE * 2:
        font = float(rng.uniform(0.7, 1.5))
        words = " ".join(rng.choice(_WORDS, 3))
        cv2.putText(
            page,
            words,
            (int(rng.uniform(-8, 12)), int(height)),
            cv2.FONT_HERSHEY_SIMPLEX,
            font,
            ink,
            3,
            cv2.LINE_AA,
        )
        height += 34 * font
    return _shrink(page)


def _texture(rng: np.random.Generator, position: int) -> np.ndarray:
    y, x = np.mgrid[0:48, 0:48].astype(np.float32)
    style = int(rng.integers(3))
    if style == 0:  # bricks
        high, wide = rng.uniform(6, 9), rng.uniform(12, 18)
        row = np.floor(y / high)
        joint = (y % high < 1.3) | ((x + (row % 2) * wide / 2) % wide < 1.3)
        image = np.where(joint, 190.0, 95.0) + rng.normal(0, 12, (48, 48))
    elif style == 1:  # stripes or checks of cloth
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 9)
        image = 128 + 75 * np.sign(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period))
        image += 30 * np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
    else:  # leaves: noise at several scales
        image = np.zeros((48, 48), np.float32)
        for blur in (0.8, 2.0, 5.0):
            layer = cv2.GaussianBlur(rng.normal(0, 1, (48, 48)).astype(np.float32), (0, 0), blur)
            image += layer / layer.std()
        image = 120 + 32 * image
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _shrink(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)
