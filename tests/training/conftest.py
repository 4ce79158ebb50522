"""A data set small enough to train on in seconds: bars whose angle is the class, and noise."""

import numpy as np
import pytest

from fer.data.dataset import Dataset, save_dataset
from fer.training.config import Phase, TrainConfig

COUNTS = (8, 4, 8, 12, 8, 8, 8)


def bars(counts: tuple[int, ...] = COUNTS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, 48, 48) uint8 and (N,) labels: a bright bar turned by 180° / 7 per class."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[-24:24, -24:24]
    images, labels = [], []
    for label, count in enumerate(counts):
        angle = np.pi * label / len(counts)
        bar = np.abs(columns * np.sin(angle) - rows * np.cos(angle)) < 4
        for _ in range(count):
            images.append(np.clip(bar * 150 + random.normal(60, 15, (48, 48)), 0, 255).astype(np.uint8))
            labels.append(label)
    return np.stack(images), np.array(labels)


@pytest.fixture
def tiny(cache: object) -> Dataset:
    return tiny_dataset()


def tiny_dataset() -> Dataset:
    """56 training, 28 validation and 28 test images with their own splits."""
    parts = [bars(), bars((4,) * 7, 1), bars((4,) * 7, 2)]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    splits = np.repeat([0, 1, 2], [len(labels) for _, labels in parts])
    return save_dataset("tiny", images, labels, splits, [f"image {n}" for n in range(len(labels))])


def quick(dataset: Dataset, **changes: object) -> TrainConfig:
    """A deterministic float32 training of two epochs on the processor."""
    values: dict = {
        "dataset": dataset.fingerprint,
        "phases": (Phase(epochs=2),),
        "batch_size": 16,
        "device": "cpu",
        "deterministic": True,
    }
    return TrainConfig(**(values | changes))
