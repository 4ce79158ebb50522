"""`ddpm`: the U-Net that predicts the noise in a face (Ho, Jain & Abbeel 2020, appendix B).

2,392,305 parameters for one class (66,000 of them the fixed sinusoids and coefficients).

Inputs: `images` (N, 48, 48, 1) float32, noisy, image range [-1, 1]; `steps` (N,) int32 in [0, T); for
several classes `classes` (N,) int32 in [0, K], where K is the null class of classifier-free guidance (Ho &
Salimans 2022). Output: the predicted noise, (N, 48, 48, 1) float32, unbounded.

    48×48×32  conv ─ block ──────────────────────────── skip ── block ─ norm, SiLU, conv
    24×24×64     └─ 2 blocks ──────────────────────── skips ── 2 blocks ┘
    12×12×96        └─ block, attention ──────────── skip ── block, attention ┘
    6×6×96             └─ block, attention ─ middle ─ skip ── block, attention ┘

A residual block is twice (group norm, SiLU, conv 3×3); the embedding of the step and the class is added
between, the second convolution starts at zero, and so does what an attention block adds. The step is
embedded by the sinusoids of Vaswani et al. 2017 (a fixed table, so that only stock layers are needed) and
two dense layers. The middle is a block, attention and a block. A step of training costs about 3 GFLOP an
image; half of it is spent at 48×48, which is why there is one block there. Dropout is left to the levels
with attention, as in Hoogeboom et al. 2023: at 48×48 drawing its random numbers takes longer than the
convolution beside it.

The body answers with the velocity v̂, and the last layers turn it into noise: ε̂ = √(1-ᾱ_t) x_t + √ᾱ_t v̂
(Salimans & Ho 2022, appendix D). At the noisy steps ε is all but x_t, and what the image is must not depend
on the small difference of the two; the untrained network already is the best linear predictor.
"""

import math

import keras
import numpy as np
from keras import layers

from fer.emotions import IMAGE_SIZE
from fer.generation.schedule import Schedule

NAME = "ddpm"
WIDTHS: tuple[int, ...] = (32, 64, 96, 96)
BLOCKS: tuple[int, ...] = (1, 2, 1, 1)  # residual blocks at each resolution, on each side
ATTENTION: tuple[int, ...] = (2, 3)  # levels with attention: 12×12 and 6×6
EMBEDDING = 128
HEAD_WIDTH = 32  # of attention
GROUPS = 8


def build(
    schedule: Schedule | None = None,
    classes: int = 1,
    widths: tuple[int, ...] = WIDTHS,
    dropout: float = 0.1,
    dtype: str = "float32",
    size: int = IMAGE_SIZE,
) -> keras.Model:
    """A fresh noise predictor.

    Args:
        schedule: the forward process whose noise is predicted; cosine over 1,000 steps by default.
        classes: K; with one class the network is unconditional and has no input `classes`.
        widths: channels at 48, 24, 12 and 6 pixels, multiples of 8; fewer give fewer resolutions.
        dropout: inside the residual blocks of the levels with attention, 0 to 0.9.
        dtype: the Keras policy of the body; embedding and head are float32 under each.
        size: pixels a side, divisible by 2 for each resolution after the first.
    """
    schedule = schedule or Schedule()
    images = keras.Input((size, size, 1), name="images")
    steps = keras.Input((), dtype="int32", name="steps")
    inputs = [images, steps]
    embedding = _embedded_step(steps, schedule.timesteps)
    if classes > 1:
        chosen = keras.Input((), dtype="int32", name="classes")
        inputs.append(chosen)
        vector = layers.Embedding(classes + 1, EMBEDDING, dtype="float32", name="class_embedding")(chosen)
        embedding = layers.Add(dtype="float32", name="embedding_sum")([embedding, vector])
    embedding = layers.Activation("silu", dtype="float32", name="embedding_silu")(embedding)
    body = _Body(embedding, dropout, dtype)
    x = body.unet(images, widths)
    x = body.norm(x, "out")
    velocity = layers.Conv2D(
        1, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="velocity"
    )(x)
    parts = {"spread": images, "signal": velocity}
    parts = {name: _scaled(part, steps, schedule.timesteps, name) for name, part in parts.items()}
    noise = layers.Add(dtype="float32", name="noise")(list(parts.values()))
    model = keras.Model(inputs, noise, name=NAME)
    model.get_layer("sinusoids").set_weights([sinusoids(schedule.timesteps)])
    model.get_layer("spread").set_weights([np.sqrt(1 - schedule.kept)[:, None]])
    model.get_layer("signal").set_weights([np.sqrt(schedule.kept)[:, None]])
    return model


def sinusoids(timesteps: int, width: int = 64) -> np.ndarray:
    """(T, width) float32 in [-1, 1]: sines, then cosines, of t / 10000^(i / (width/2))."""
    frequencies = np.exp(-math.log(10_000) * np.arange(width // 2) / (width // 2))
    angles = np.arange(timesteps)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _embedded_step(steps: keras.KerasTensor, timesteps: int) -> keras.KerasTensor:
    x = layers.Embedding(timesteps, 64, trainable=False, dtype="float32", name="sinusoids")(steps)
    x = layers.Dense(EMBEDDING, activation="silu", dtype="float32", name="step_dense1")(x)
    return layers.Dense(EMBEDDING, dtype="float32", name="step_dense2")(x)


def _scaled(x: keras.KerasTensor, steps: keras.KerasTensor, timesteps: int, name: str) -> keras.KerasTensor:
    """`x` times the coefficient of its step, from a fixed table."""
    factor = layers.Embedding(timesteps, 1, trainable=False, dtype="float32", name=name)(steps)
    factor = layers.Reshape((1, 1, 1), dtype="float32", name=f"{name}_factor")(factor)
    return layers.Multiply(dtype="float32", name=f"{name}_scaled")([x, factor])


class _Body:
    """Builds the network's blocks, which share the embedding, the dropout and the policy."""

    def __init__(self, embedding: keras.KerasTensor, dropout: float, dtype: str):
        self.embedding, self.dropout, self.dtype = embedding, dropout, dtype

    def unet(self, images: keras.KerasTensor, widths: tuple[int, ...]) -> keras.KerasTensor:
        """(N, 48, 48, 1) → (N, 48, 48, widths[0])."""
        x = self.conv(images, widths[0], "stem")
        skips: list[list[keras.KerasTensor]] = []
        for level, width in enumerate(widths):
            if level:
                x = self.conv(x, width, f"down{level}_reduce", strides=2)
            skips.append([])
            for n in range(BLOCKS[level]):
                x = self.block(x, width, f"down{level}_block{n}", level in ATTENTION, level in ATTENTION)
                skips[-1].append(x)
        x = self.block(x, widths[-1], "middle1", True, True)
        x = self.block(x, widths[-1], "middle2", drops=True)
        for level in reversed(range(len(widths))):
            for n in range(BLOCKS[level]):
                name = f"up{level}_block{n}"
                x = layers.Concatenate(dtype=self.dtype, name=f"{name}_skip")([x, skips[level].pop()])
                x = self.block(x, widths[level], name, level in ATTENTION, level in ATTENTION)
            if level:
                x = layers.UpSampling2D(dtype=self.dtype, name=f"up{level}_enlarge")(x)
                x = self.conv(x, widths[level - 1], f"up{level}_smooth")
        return x

    def block(
        self, x: keras.KerasTensor, width: int, name: str, attends: bool = False, drops: bool = False
    ) -> keras.KerasTensor:
        """A residual block, and attention behind it."""
        added = self.conv(self.norm(x, f"{name}_first"), width, f"{name}_conv1")
        shift = layers.Dense(width, dtype=self.dtype, name=f"{name}_embedding")(self.embedding)
        shift = layers.Reshape((1, 1, width), dtype=self.dtype, name=f"{name}_shift")(shift)
        added = layers.Add(dtype=self.dtype, name=f"{name}_shifted")([added, shift])
        added = self.norm(added, f"{name}_second")
        if self.dropout and drops:
            added = layers.Dropout(self.dropout, dtype=self.dtype, name=f"{name}_dropout")(added)
        added = self.conv(added, width, f"{name}_conv2", kernel_initializer="zeros")
        if x.shape[-1] != width:
            x = self.conv(x, width, f"{name}_project", kernel_size=1)
        x = layers.Add(dtype=self.dtype, name=f"{name}_sum")([x, added])
        return self.attention(x, f"{name}_attention") if attends else x

    def attention(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Self-attention between all places of the image, added to it."""
        height, width, channels = x.shape[1:]
        tokens = layers.GroupNormalization(GROUPS, dtype=self.dtype, name=f"{name}_norm")(x)
        tokens = layers.Reshape((height * width, channels), dtype=self.dtype, name=f"{name}_tokens")(tokens)
        tokens = layers.MultiHeadAttention(
            max(channels // HEAD_WIDTH, 1), min(HEAD_WIDTH, channels), dtype=self.dtype, name=name
        )(tokens, tokens)
        # What attention adds starts at zero: this dense layer's weights do.
        tokens = layers.Dense(channels, kernel_initializer="zeros", dtype=self.dtype, name=f"{name}_out")(
            tokens
        )
        tokens = layers.Reshape((height, width, channels), dtype=self.dtype, name=f"{name}_image")(tokens)
        return layers.Add(dtype=self.dtype, name=f"{name}_sum")([x, tokens])

    def norm(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Group normalisation (Wu & He 2018), then SiLU."""
        x = layers.GroupNormalization(GROUPS, dtype=self.dtype, name=f"{name}_norm")(x)
        return layers.Activation("silu", dtype=self.dtype, name=f"{name}_silu")(x)

    def conv(
        self, x: keras.KerasTensor, width: int, name: str, kernel_size: int = 3, **settings: object
    ) -> keras.KerasTensor:
        return layers.Conv2D(width, kernel_size, padding="same", dtype=self.dtype, name=name, **settings)(x)
