"""Drawn stamps like those of stock photo sites: words, rings, spirals and lines, in any ink.

Only the training of the watermark finder uses them. A stamp has two layers, its strokes and the edge beside
them, because real ones are often dark letters with a bright rim or the other way round.
"""

from collections.abc import Callable

import cv2
import numpy as np

WORDS = (
    "shutterstock", "dreamstime", "istockphoto", "gettyimages", "fotolia", "photostock", "SAMPLE", "preview",
    "STOCK", "depositphotos", "123RF", "alamy", "bigstock", "demo image", "Corbis", "picture", "copyright",
)  # fmt: skip
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
SCALE = 4  # stamps are drawn this much larger, then shrunk
SIZE = 48 * SCALE
EDGE = 5  # the edge is this much wider than the stroke, in drawn pixels

Figure = Callable[[np.ndarray, int], object]  # draws on a layer with strokes widened by a number


def stamp(random: np.random.Generator, logos: float) -> np.ndarray:
    """(2, 48, 48) float32 in [0, 1]: how much of each pixel strokes and edges cover.

    logos: share of stamps that have a ring or a spiral, alone or beside a word.
    """
    layers = np.zeros((2, SIZE, SIZE), dtype=np.uint8)
    kind = random.random()
    if kind < 1.2 - logos:
        _draw(layers, _word(random))
    if kind > 1 - logos:
        for figure in _spiral(random) if random.random() < 0.5 else _rings(random):
            _draw(layers, figure)
    if random.random() < 0.2:
        _draw(layers, _line(random))
    if random.random() < 0.1:
        turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), random.uniform(-40, 40), 1)
        layers = np.stack([cv2.warpAffine(layer, turn, (SIZE, SIZE)) for layer in layers])
    shrunk = [cv2.resize(layer, (48, 48), interpolation=cv2.INTER_AREA) for layer in layers]
    small = np.stack(shrunk).astype(np.float32) / 255
    small[1] = np.clip(small[1] - small[0], 0, 1)
    blur = random.uniform(0, 0.9)
    return np.stack([cv2.GaussianBlur(layer, (0, 0), blur) for layer in small]) if blur > 0.35 else small


def stamped(images: np.ndarray, stamps: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(N, 48, 48) float32 of whole grey levels: images under (N, 2, 48, 48) stamps, faint to plain."""

    def draw(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (len(images), 1, 1)).astype(np.float32)

    kind, strength = draw(0, 1), np.exp(draw(np.log(0.09), np.log(0.5)))
    bright, dark = kind < 0.4, kind < 0.75
    ink = np.where(bright, draw(200, 255), np.where(dark, draw(0, 60), draw(60, 200)))
    other = np.where(draw(0, 1) < 0.5, 255, 0)
    rim = np.where(bright, draw(0, 80), np.where(dark, draw(180, 255), other))
    rim_strength = strength * np.where(draw(0, 1) < 0.45, 0, draw(0.3, 1.2))
    shift = ((0, 0), (1, 1), (-1, -1), (0, 1))[random.integers(4)]
    picture = images.astype(np.float32)
    picture += (rim - picture) * np.clip(np.roll(stamps[:, 1], shift, axis=(1, 2)) * rim_strength, 0, 1)
    picture += (ink - picture) * stamps[:, 0] * strength
    return np.clip(np.rint(picture), 0, 255)


def places(stamps: np.ndarray) -> np.ndarray:
    """(N, 24, 24) float32, 1 where a stroke of (N, 2, 48, 48) stamps covers a place."""
    return (stamps[:, 0].reshape(-1, 24, 2, 24, 2).max(axis=(2, 4)) > 0.35).astype(np.float32)


def _draw(layers: np.ndarray, figure: Figure) -> None:
    for layer, wider in zip(layers, (0, EDGE), strict=True):
        figure(layer, wider)


def _word(random: np.random.Generator) -> Figure:
    word = str(random.choice(WORDS))[: int(random.integers(4, 14))]
    at = int(random.uniform(-0.6, 0.5) * SIZE), int(random.uniform(0.08, 1.05) * SIZE)
    font, scale, width = int(random.choice(FONTS)), random.uniform(0.7, 2.6), int(random.integers(2, 7))
    return lambda layer, wider: cv2.putText(layer, word, at, font, scale, (255,), width + wider, cv2.LINE_AA)


def _middle(random: np.random.Generator) -> tuple[np.ndarray, float, int]:
    """Centre, radius and stroke width of a logo."""
    radius = random.uniform(0.07, 0.26) * SIZE
    return random.uniform(0.05, 0.95, 2) * SIZE, radius, int(random.integers(2, 8))


def _spiral(random: np.random.Generator) -> list[Figure]:
    """One to three turns, in half of them inside a ring."""
    middle, radius, width = _middle(random)
    along = np.linspace(0.12, 1, 160)
    angle = 2 * np.pi * (random.uniform(1.2, 3.2) * along + random.random()) * random.choice([-1, 1])
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = (middle + radius * along[:, None] * circle).astype(np.int32)
    figures: list[Figure] = [
        lambda layer, wider: cv2.polylines(layer, [points], False, (255,), width + wider, cv2.LINE_AA)
    ]
    return figures + ([_ring(middle, 1.05 * radius, width)] if random.random() < 0.5 else [])


def _rings(random: np.random.Generator) -> list[Figure]:
    """One to four rings about one middle, sometimes with a letter inside."""
    middle, radius, width = _middle(random)
    shares = (1.0, 0.7, 0.45, 0.2)[: int(random.integers(1, 5))]
    figures = [_ring(middle, share * radius, width) for share in shares]
    if random.random() < 0.4:
        letter, font = str(random.choice(list("cCGgRm"))), int(random.choice(FONTS))
        at = (int(middle[0] - 0.4 * radius), int(middle[1] + 0.4 * radius))
        figures.append(
            lambda layer, wider: cv2.putText(
                layer, letter, at, font, radius / 22, (255,), width + wider, cv2.LINE_AA
            )
        )
    return figures


def _ring(middle: np.ndarray, radius: float, width: int) -> Figure:
    at = (int(middle[0]), int(middle[1]))
    return lambda layer, wider: cv2.circle(layer, at, int(radius), (255,), width + wider, cv2.LINE_AA)


def _line(random: np.random.Generator) -> Figure:
    """A diagonal across the picture."""
    start, width = int(random.uniform(-1, 1) * SIZE), int(random.integers(2, 6))
    low, high = (SIZE, 0) if random.random() < 0.5 else (0, SIZE)
    return lambda layer, wider: cv2.line(
        layer, (start, low), (start + SIZE, high), (160,), width + wider, cv2.LINE_AA
    )
