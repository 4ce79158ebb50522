"""How the weights of the watermark finder were made: `python -m fer.analysis.watermark_training DATASET`.

Half of the faces of a data set (and of demo faces drawn with other seeds) get a stamp like those of stock
photo sites: a word or two, a logo's circle, sometimes diagonal lines, faint, bright, dark or embossed. The
small network of `watermarks` learns to tell the halves apart. In a second round the 2.5 % of the data set's
own images that the first network is surest of count as watermarked, and the next 17.5 % are left out:
FER-2013 is full of real stamps, and those look unlike drawn ones. The four images that experiments.md names
are left out of both rounds, since they are what the finder is measured on.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from fer import storage
from fer.analysis.watermarks import WEIGHTS, normalised, score
from fer.data.dataset import open_dataset
from fer.data.demo import draw_demo

KNOWN = ("Training_7118915.", "Training_10229138.", "Training_15579995.", "Training_20437400.")
WORDS = (
    "shutterstock", "dreamstime", "istockphoto", "gettyimages", "fotolia", "photostock", "SAMPLE", "preview",
    "STOCK", "depositphotos", "123RF", "alamy", "bigstock", "demo image", "Corbis", "picture", "copyright",
)  # fmt: skip
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
SCALE = 4  # stamps are drawn this much larger, then shrunk
SURE, DOUBTFUL = 0.025, 0.2


def stamp(random: np.random.Generator) -> np.ndarray:
    """(48, 48) float32 in [0, 1]: how much of each pixel a watermark covers."""
    size = 48 * SCALE
    layer = np.zeros((size, size), dtype=np.uint8)
    word = str(random.choice(WORDS))[: int(random.integers(4, 13))]
    at = int(random.uniform(-0.35, 0.4) * size), int(random.uniform(0.12, 1.0) * size)
    font, thickness = int(random.choice(FONTS)), int(random.integers(2, 7))
    cv2.putText(layer, word, at, font, random.uniform(0.8, 2.6), 255, thickness, cv2.LINE_AA)
    if random.random() < 0.25:
        radius = random.uniform(0.08, 0.3) * size
        middle = (int(random.uniform(0.1, 0.9) * size), int(random.uniform(0.1, 0.9) * size))
        for ring in (1.0, 0.6):
            cv2.circle(layer, middle, int(ring * radius), 255, int(random.integers(3, 8)), cv2.LINE_AA)
    if random.random() < 0.2:
        start = int(random.uniform(-1, 1) * size)
        cv2.line(layer, (start, size), (start + size, 0), 160, int(random.integers(2, 6)), cv2.LINE_AA)
    if random.random() < 0.15:
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), random.uniform(-40, 40), 1)
        layer = np.asarray(cv2.warpAffine(layer, turn, (size, size)), dtype=np.uint8)
    return cv2.resize(layer, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def stamped(images: np.ndarray, stamps: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(N, 48, 48) uint8 images with random ones of (S, 48, 48) `stamps`: any ink, some embossed."""
    n = len(images)
    alpha = stamps[random.integers(0, len(stamps), n)] * random.uniform(0.12, 0.5, (n, 1, 1)).astype(
        np.float32
    )
    kind = random.random((n, 1, 1))
    picture = images.astype(np.float32)
    dark = np.roll(alpha, (1, 1), axis=(1, 2)) * (kind < 0.3)  # embossed: a shadow beside the stroke
    picture *= 1 - 0.8 * dark
    ink = np.where(kind < 0.4, 255.0, np.where(kind < 0.8, random.uniform(40, 220, (n, 1, 1)), 0.0))
    picture += (ink - picture) * alpha
    return np.clip(picture, 0, 255).astype(np.uint8)


def training_images(dataset: str, second: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images (N, 48, 48) uint8, watermarked (N,) bool, fixed (N,) bool: not to be stamped again)."""
    real = open_dataset(dataset)
    chosen = np.array(
        [i for i in real.indices("train") if not any(known in real.names[i] for known in KNOWN)]
    )
    sure = np.zeros(len(chosen), dtype=bool)
    if second:
        order = np.argsort(-score(real.images[chosen]))
        sure[order[: int(SURE * len(order))]] = True
        doubtful = order[int(SURE * len(order)) : int(DOUBTFUL * len(order))]
        chosen, sure = np.delete(chosen, doubtful), np.delete(sure, doubtful)
    images, watermarked, fixed = [np.asarray(real.images[chosen])], [sure], [sure]
    for drawn in (101, 102, 103):
        faces, _, _, _, factors, _ = draw_demo(None, drawn, 3500)
        kept = [i for i, factor in enumerate(factors) if not factor["outlier"]]
        images.append(faces[kept])
        watermarked.append(np.array([bool(factors[i]["watermark"]) for i in kept]))
        fixed.append(np.ones(len(kept), dtype=bool))
    return np.concatenate(images), np.concatenate(watermarked), np.concatenate(fixed)


def train(dataset: str, epochs: int, second: bool, seed: int = 0) -> None:
    """One round; writes `WEIGHTS`, which the second round also reads."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    images, watermarked, fixed = training_images(dataset, second)
    stamps = np.stack([stamp(np.random.default_rng([seed, 1, n])) for n in range(6000)])
    inputs = keras.Input((48, 48, 1))
    x = layers.Conv2D(12, 5, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(24, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(32, 3, activation="relu", name="conv3")(x)
    pooled = [layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)]
    outputs = layers.Dense(1, name="output")(layers.Concatenate()(pooled))
    model = keras.Model(inputs, outputs)
    steps = epochs * len(images) // 128
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    for epoch in range(epochs):
        random = np.random.default_rng([seed, epoch])
        mark = (random.random(len(images)) < 0.5) & ~fixed
        mirrored = (random.random(len(images)) < 0.5) & ~fixed
        shown = images.copy()
        shown[mirrored] = shown[mirrored][:, :, ::-1]
        shown[mark] = stamped(shown[mark], stamps, random)
        target = (watermarked | mark).astype(np.float32)
        weights = np.where(fixed & (target == 1), 3.0, 1.0)
        model.fit(normalised(shown)[..., None], target, sample_weight=weights, batch_size=128, verbose=2)
        arrays: dict[str, np.ndarray] = {}
        for name in ("conv1", "conv2", "conv3", "output"):
            kernel, bias = model.get_layer(name).get_weights()
            arrays |= {name: kernel.astype(np.float16), f"{name}_bias": bias.astype(np.float16)}
        with storage.replacing(Path(WEIGHTS)) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    chosen_epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 14
    if "--second" not in sys.argv:
        train(sys.argv[1], chosen_epochs, second=False)
    train(sys.argv[1], chosen_epochs, second=True)
