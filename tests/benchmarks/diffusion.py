"""Seconds of the diffusion model: drawing 16 faces, and an epoch on the 436 images of disgust.

    python -m tests.benchmarks.diffusion [--steps 50] [--batches 12]

No data set is needed: time does not depend on what the images show. Targets on 2 quiet cores: 16 faces in 50
DDIM steps within 30 s, guidance included, and 100 epochs of 436 images within 40 minutes in bfloat16. The
first call of each (compilation) is not counted for training and counted for drawing, as a user sees it.
Beside the wall-clock time stands the processor time, which other programs disturb less.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

DISGUST, BATCH, EPOCHS = 436, 32, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batches", type=int, default=12)
    arguments = parser.parse_args()
    drawing(arguments.steps)
    for policy in ("mixed_bfloat16", "float32"):
        training(policy, arguments.batches)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall-clock, processor) seconds."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def drawing(steps: int) -> None:
    """Two classes with guidance: the network answers twice a step. Inference is in float32."""
    from fer.generation import network
    from fer.generation.sampling import Sampler
    from fer.generation.schedule import Schedule

    sampler = Sampler(network.build(classes=2), Schedule(), ("disgust", "fear"))
    for guidance in (2.0, 1.0):
        for what in ("first call", "again"):
            wall, work = timed(lambda g=guidance: sampler.sample("disgust", 16, 0, steps, g))  # type: ignore[misc]
            print(
                f"16 faces, {steps} DDIM steps, guidance {guidance:g}, {what:10s} {wall:6.1f} s "
                f"({work:.1f} s of processor)"
            )


def training(policy: str, batches: int) -> None:
    import keras
    import numpy as np

    from fer.generation import network

    model = network.build(dtype=policy)
    optimizer = keras.optimizers.Adam(5e-4, use_ema=True, ema_momentum=0.995, global_clipnorm=1.0)
    model.compile(optimizer, "mse", jit_compile=False)
    images = np.random.default_rng(0).standard_normal((BATCH, 48, 48, 1)).astype(np.float32)
    inputs = [images, np.arange(BATCH, dtype=np.int32)]
    model.train_on_batch(inputs, images)
    wall, work = timed(lambda: [model.train_on_batch(inputs, images) for _ in range(batches)])
    each = DISGUST / (batches * BATCH)
    print(
        f"training, {policy:14s}: {wall * each:5.1f} s an epoch of {DISGUST} images ({work * each:.1f} s of "
        f"processor), {EPOCHS} epochs {wall * each * EPOCHS / 60:.0f} minutes"
    )


if __name__ == "__main__":
    main()
