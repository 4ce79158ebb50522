"""Seconds of the diffusion model: drawing 16 faces, and an epoch on the 436 images of disgust.

    python -m tests.benchmarks.diffusion [--steps 50] [--batches 12] [--policies mixed_bfloat16,float32]

No data set is needed: time does not depend on what the images show. The step is the training's own, its
batches included. Targets on 2 quiet cores: 16 faces in 50 DDIM steps within 30 s, guidance included, and
100 epochs of 436 images within 40 minutes in bfloat16. The first call of each (compilation) is not counted
for training and counted for drawing, as a user sees it. Beside the wall-clock time stands the processor
time, which other programs disturb less.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

DISGUST, EPOCHS = 436, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--policies", default="mixed_bfloat16,float32")
    arguments = parser.parse_args()
    if arguments.steps:
        drawing(arguments.steps)
    for policy in arguments.policies.split(","):
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
    """Seconds of an epoch, from a few steps of the default training: batch 16, one class."""
    import numpy as np

    from fer.emotions import EMOTIONS
    from fer.generation import network
    from fer.generation.batches import Images
    from fer.generation.config import DiffusionConfig
    from fer.generation.steps import prepare, train_step

    config = DiffusionConfig("no data set")
    model = network.build(config.noise, dropout=config.dropout, dtype=policy)
    prepare(model, config)
    pixels = np.random.default_rng(0).integers(0, 256, (DISGUST, 48, 48), dtype=np.uint8)
    images = Images(config, pixels, np.full(DISGUST, EMOTIONS.index("disgust")))

    def work(steps: range) -> None:
        for step in steps:
            train_step(model, images.batch(0, step), config.learning_rate)

    work(range(2))  # compilation, and the optimizer's first step
    wall, processor = timed(lambda: work(range(2, 2 + batches)))
    each = -(-DISGUST // config.batch_size) / batches
    print(
        f"training, {policy:14s}: {wall * each:5.1f} s an epoch of {DISGUST} images "
        f"({processor * each:.1f} s of processor), {EPOCHS} epochs {wall * each * EPOCHS / 60:.0f} minutes"
    )


if __name__ == "__main__":
    main()
