"""Eight simple images to learn by heart, and a network small enough to do so in seconds."""

import numpy as np
import pytest

from fer.data.dataset import Dataset, save_dataset
from fer.emotions import EMOTIONS
from fer.generation.config import DiffusionConfig
from fer.generation.generators import Generator
from fer.runs import Run, create_run, run_here
from fer.training.config import Phase, TrainConfig

SIZE = 8


def bars(count: int = SIZE, pixels: int = 48) -> np.ndarray:
    """(count, pixels, pixels) uint8: a bright bar on black, turned a little further each time."""
    rows, columns = (np.mgrid[:pixels, :pixels] - pixels // 2) * 48 / pixels
    angles = np.pi * np.arange(count) / count
    distance = np.abs(columns * np.sin(angles)[:, None, None] - rows * np.cos(angles)[:, None, None])
    return (255 * np.clip((7 - distance) / 2, 0, 1)).astype(np.uint8)


@pytest.fixture
def eight(cache: object) -> Dataset:
    """Eight training images and eight others to validate on, four of each disgust and fear."""
    images = np.concatenate([bars(), bars(3 * SIZE)[1::3]])
    labels = np.tile(np.repeat([EMOTIONS.index("disgust"), EMOTIONS.index("fear")], SIZE // 2), 2)
    return save_dataset(
        "eight", images, labels, np.repeat([0, 1], SIZE), [f"bar {n}" for n in range(2 * SIZE)]
    )


def small(dataset: Dataset, **changes: object) -> DiffusionConfig:
    """Two epochs of a network of a few thousand weights in float32, without mirroring."""
    values: dict = {
        "dataset": dataset.fingerprint,
        "classes": ("disgust", "fear"),
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "timesteps": 100,
        "ema": 0.9,
        "dropout": 0.0,
        "flip": False,
        "samples_every": 0,
        "widths": (8, 8),
        "precision": "float32",
        "device": "cpu",
    }
    return DiffusionConfig(**(values | changes))


@pytest.fixture
def trained_pair(demo_dataset: Dataset) -> tuple[Run, Run, np.ndarray]:
    """A generator's run, a classifier of one short epoch on the same faces, and 16 faces it learned from."""
    generator = create_run(DiffusionConfig(demo_dataset.fingerprint).to_json(), kind="diffusion")
    config = TrainConfig(
        demo_dataset.fingerprint, phases=(Phase(epochs=1),), limit=100, device="cpu", precision="float32"
    )
    classifier = create_run(config.to_json())
    run_here(classifier)
    assert classifier.status().state == "finished", classifier.log_tail()
    return generator, classifier, Generator(generator).training_images("disgust")[:16]
