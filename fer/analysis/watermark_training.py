"""How the weights of the watermark finder were made: `python -m fer.analysis.watermark_training DATASET`.

Half of the faces of a data set get a drawn stamp (`watermark_stamps`); demo faces drawn with other seeds than
the tests' bring theirs along. The network of `watermarks` learns which places a stroke covers and which
images have a stamp at all. FER-2013 is full of real stamps, and those look unlike drawn ones; taught that
they are none, the network would learn to tell drawn from real. So after the first stage the 2.5 % of the data
set's own images that it is surest of count as watermarked, and the next 17.5 % are left out. Later stages
draw more rings and spirals, which are harder than words. The four images that experiments.md names, and
their copies, are left out of everything, since they are what the finder is measured on.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer import storage
from fer.analysis import watermark_stamps as drawing
from fer.analysis.watermarks import DILATIONS, WEIGHTS, normalised
from fer.data.dataset import open_dataset
from fer.data.demo import draw_demo

if TYPE_CHECKING:
    import keras

KNOWN = ("Training_7118915.", "Training_10229138.", "Training_15579995.", "Training_20437400.")
SURE, DOUBTFUL = 0.025, 0.2
BATCH, STAMPS, DRAWN = 128, 12_000, 1500
PLACES = 12  # whose mean is an image's score in training: about a short word or half a ring


@dataclass(frozen=True)
class Stage:
    """Epochs at a learning rate that falls to 0 (cosine), the share of logos, own images an epoch sees."""

    epochs: int
    learning_rate: float
    logos: float
    images: int | None = None


STAGES = (
    Stage(8, 3e-3, 0.45),
    Stage(4, 1.5e-3, 0.45, 11_000),
    Stage(5, 2e-3, 0.7, 14_000),
    Stage(4, 1.5e-3, 0.7, 14_000),
)


@dataclass(frozen=True)
class Faces:
    """images: (N, 48, 48) uint8. watermarked: (N,) bool. fixed: (N,) bool, not to be stamped again."""

    images: np.ndarray
    watermarked: np.ndarray
    fixed: np.ndarray

    def part(self, own: int, random: np.random.Generator) -> "Faces":
        """`own` of the faces that are stamped here, all watermarked ones, and `DRAWN` demo faces without."""
        free, known = ~self.fixed, self.fixed & self.watermarked
        groups = ((free, own), (known, len(known)), (self.fixed & ~known, DRAWN))
        members = [(np.flatnonzero(mask), most) for mask, most in groups]
        chosen = np.concatenate(
            [random.choice(found, min(most, len(found)), replace=False) for found, most in members]
        )
        return Faces(self.images[chosen], self.watermarked[chosen], self.fixed[chosen])


def build() -> "keras.Model":
    """The network of `watermarks`, with the logits of all places and their score as outputs."""
    import keras
    from keras import layers, ops

    inputs = keras.Input((48, 48, 1))
    x = inputs
    for name, dilation in DILATIONS.items():
        filters, size = (24, 5) if name == "conv1" else (32, 3)
        x = layers.Conv2D(
            filters, size, padding="same", dilation_rate=dilation, activation="relu", name=name
        )(x)
        x = layers.MaxPooling2D()(x) if name == "conv1" else x
    logits = layers.Flatten(name="places")(layers.Conv2D(1, 1, dtype="float32", name="mask")(x))
    best = layers.Lambda(lambda z: ops.top_k(z, PLACES)[0], output_shape=(PLACES,), name="likeliest")(logits)
    return keras.Model(inputs, [logits, ops.mean(best, axis=1)])


def faces_of(dataset: str, judge: "keras.Model | None") -> Faces:
    """The data set's train faces and demo faces; with a `judge`, the surest count and the doubtful leave."""
    real = open_dataset(dataset)
    train = real.indices("train")
    known = [i for i in train if any(name in real.names[i] for name in KNOWN)]
    chosen = train[~np.isin(real.hashes[train], real.hashes[known])]
    sure = np.zeros(len(chosen), dtype=bool)
    if judge is not None:
        scores = judge.predict(normalised(real.images[chosen])[..., None], batch_size=512, verbose=0)[1]
        order = np.argsort(-scores)
        sure[order[: int(SURE * len(order))]] = True
        doubtful = order[int(SURE * len(order)) : int(DOUBTFUL * len(order))]
        chosen, sure = np.delete(chosen, doubtful), np.delete(sure, doubtful)
    images, watermarked, fixed = [np.asarray(real.images[chosen])], [sure], [sure]
    for seed in (101, 102, 103):
        drawn, _, _, _, factors, _ = draw_demo(None, seed, 3500)
        kept = [i for i, factor in enumerate(factors) if not factor["outlier"]]
        images.append(drawn[kept])
        watermarked.append(np.array([bool(factors[i]["watermark"]) for i in kept]))
        fixed.append(np.ones(len(kept), dtype=bool))
    return Faces(*(np.concatenate(parts) for parts in (images, watermarked, fixed)))


def fit(model: "keras.Model", faces: Faces, stage: Stage, seed: int, stamps: int = STAMPS) -> None:
    """One stage with so many different stamps; prints the losses of each epoch."""
    import keras
    from keras import ops

    steps = len(faces.images) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(stage.learning_rate, max(stage.epochs * steps, 1))
    answer = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)

    def covered(truth: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Twice the mean cross-entropy of the places, those under a stroke five times."""
        each = ops.softplus(logits) - logits * truth
        return 2 * ops.mean(each * (1 + 4 * truth), axis=1)

    def judged(truth: keras.KerasTensor, score: keras.KerasTensor) -> keras.KerasTensor:
        return answer(truth[:, None], score[:, None])

    model.compile(keras.optimizers.Adam(rate), [covered, judged], jit_compile=False)
    drawn = np.stack([drawing.stamp(np.random.default_rng([seed, 1, n]), stage.logos) for n in range(stamps)])
    for epoch in range(stage.epochs):
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(faces.images))
        for step in range(steps):
            losses = _step(model, faces, order[step * BATCH : (step + 1) * BATCH], drawn, random)
        print(f"{stage}, epoch {epoch + 1}: {losses}", flush=True)
        model.reset_metrics()


def _step(
    model: "keras.Model", faces: Faces, chosen: np.ndarray, stamps: np.ndarray, random: np.random.Generator
) -> list[float]:
    """Mirror and stamp half of the images that may be, and learn from the batch."""
    fixed, known = faces.fixed[chosen], faces.fixed[chosen] & faces.watermarked[chosen]
    images = faces.images[chosen].astype(np.float32)
    mirrored = (random.random(len(chosen)) < 0.5) & ~fixed
    images[mirrored] = images[mirrored][:, :, ::-1]
    marked = (random.random(len(chosen)) < 0.5) & ~fixed
    used = stamps[random.integers(0, len(stamps), len(chosen))]
    images = np.where(marked[:, None, None], drawing.stamped(images, used, random), images)
    where = drawing.places(used).reshape(len(chosen), -1) * marked[:, None]
    weights = [np.where(known, 0.0, 1.0), np.where(known, 3.0, 1.0)]  # where theirs are is unknown
    targets = [where, (faces.watermarked[chosen] | marked).astype(np.float32)]
    return model.train_on_batch(normalised(images)[..., None], targets, sample_weight=weights)


def write(model: "keras.Model", path: Path = WEIGHTS) -> None:
    """The weights as 16-bit numbers, as `watermarks` reads them."""
    arrays: dict[str, np.ndarray] = {}
    for name in (*DILATIONS, "mask"):
        kernel, bias = model.get_layer(name).get_weights()
        arrays |= {name: kernel.astype(np.float16), f"{name}_bias": bias.astype(np.float16)}
    with storage.replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def train(dataset: str, seed: int = 0) -> None:
    """All stages; writes `WEIGHTS`."""
    import keras

    keras.utils.set_random_seed(seed)
    model = build()
    first, *later = STAGES
    fit(model, faces_of(dataset, None), first, seed)
    faces = faces_of(dataset, model)
    for number, stage in enumerate(later, 1):
        part = faces.part(stage.images or len(faces.images), np.random.default_rng([seed, 7, number]))
        fit(model, part, stage, seed + number)
    write(model)


if __name__ == "__main__":
    train(sys.argv[1])
