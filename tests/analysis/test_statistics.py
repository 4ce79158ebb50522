"""Statistics: the studies' numbers on the real data, and plain arithmetic on small ones."""

import json
import time

import numpy as np
import pytest

from fer.analysis.statistics import class_faces, class_weights, pixel_counts, statistics, summary
from fer.data.dataset import save_dataset


def small(seed=0, n=210, validation=False, train=True):
    random = np.random.default_rng(seed)
    images = random.integers(3, 250, (n, 48, 48), dtype=np.uint8)
    splits = np.where(np.arange(n) % 3 == 0, 2, 0 if train else 2)
    if validation:
        splits[np.arange(n) % 3 == 1] = 1
    labels = np.repeat(np.arange(7), n // 7)
    return save_dataset("small", images, labels, splits, [str(i) for i in range(n)])


@pytest.mark.parametrize("validation", [False, True])
def test_pixels_are_those_of_numpy(validation):
    dataset = small(validation=validation)
    result = statistics(dataset)
    for split in result["counts"]:
        pixels = dataset.images[dataset.indices(split)] / 255
        found = result["pixels"][split]
        assert found["mean"] == pytest.approx(pixels.mean(), abs=1e-12)
        assert found["std"] == pytest.approx(pixels.std(), abs=1e-12)
        assert (found["min"], found["max"]) == (pixels.min(), pixels.max())
        assert found["pixels"] == pixels.size == sum(result["histogram"][split])
    assert json.loads(json.dumps(result)) == result
    assert statistics(dataset) == result
    parts = result["split_80_20"]["counts"]
    assert sum(sum(counts.values()) for counts in parts.values()) == len(dataset)


def test_weights():
    weights = class_weights({"a": 10, "b": 30, "c": 0})
    assert weights == {"a": 2.0, "b": pytest.approx(2 / 3), "c": None}


def test_test_only_data():
    result = statistics(small(train=False))
    assert list(result["counts"]) == ["test"]
    assert result["class_weights"] == {}


def test_faces():
    dataset = small()
    faces = class_faces(dataset)
    for again in (faces, class_faces(dataset)):
        for label in range(7):
            chosen = dataset.images[(dataset.labels == label) & (dataset.splits == 0)]
            np.testing.assert_allclose(again["mean"][label], chosen.mean(axis=0), rtol=1e-6)
            np.testing.assert_allclose(again["std"][label], chosen.std(axis=0), rtol=1e-5)
            assert again["counts"][label] == len(chosen)
    assert np.isnan(class_faces(dataset, "validation")["mean"]).all()


def test_empty_summary():
    assert summary(pixel_counts(np.zeros((0, 48, 48), np.uint8), np.arange(0)))["mean"] is None


def test_real_numbers(real_dataset):
    started = time.process_time()
    result = statistics(real_dataset)
    assert time.process_time() - started < 2
    release = [3995, 436, 4097, 7215, 4965, 4830, 3171]
    assert list(result["counts"]["train"].values()) == release
    assert list(result["counts"]["test"].values()) == [467, 56, 496, 895, 607, 653, 415]
    train = result["pixels"]["train"]
    assert (round(train["mean"], 4), round(train["std"], 4)) == (0.5077, 0.2551)
    assert (train["min"], train["max"], train["missing"]) == (0, 1, 0)
    parts = result["split_80_20"]["pixels"]
    assert [parts[p]["pixels"] for p in ("train", "validation", "test")] == [52918272, 13227264, 3589 * 2304]
    weights = [round(weight, 4) for weight in result["class_weights"].values()]
    assert weights == [1.0266, 9.4016, 1.0010, 0.5685, 0.8261, 0.8492, 1.2933]
