"""What a step reads: weights, order, smoothing, mixing, oversampling, selections."""

import numpy as np
import pytest

from fer.augmentation.layer import Mix
from fer.data.dataset import Dataset
from fer.data.selection import mark
from fer.training.config import TrainConfig
from fer.training.data import Batches, class_weights, load_data, oversampled
from tests.training.conftest import quick

# Study A's 22,968 training images: FER-2013's less int(n × 0.2) of each class.
TRAIN = [n - int(n * 0.2) for n in (3995, 436, 4097, 7215, 4965, 4830, 3171)]


def test_balanced_weights_of_the_study():
    labels = np.repeat(np.arange(7), TRAIN)
    assert len(labels) == 22_968
    weights = class_weights(TrainConfig(dataset="d", class_weights="balanced"), labels)
    assert weights.round(4).tolist() == pytest.approx(
        [1.0266, 9.4016, 1.0010, 0.5685, 0.8261, 0.8492, 1.2933]
    )


def test_custom_weights_and_none():
    labels = np.arange(7)
    custom = class_weights(TrainConfig(dataset="d", class_weights={"disgust": 15, "fear": 8}), labels)
    assert custom.tolist() == [1, 15, 8, 1, 1, 1, 1]
    assert class_weights(TrainConfig(dataset="d"), labels).tolist() == [1] * 7
    six = TrainConfig(dataset="d", classes=("angry", "happy"), class_weights="balanced")
    assert class_weights(six, np.array([0, 0, 0, 1])).tolist() == pytest.approx([4 / 6, 2])


def batches(dataset: Dataset, **changes: object) -> Batches:
    config = quick(dataset, **changes)
    data = load_data(config)
    return Batches(config, data, data.splits["train"], 0, True, np.ones(7, dtype=np.float32))


def test_batches_carry_the_weights_of_their_classes(tiny: Dataset):
    given = np.array([1, 15, 8, 0.5, 1, 2, 3], dtype=np.float32)
    for changes in ({}, {"mixup": 1.0}):
        config = quick(tiny, **changes)
        data = load_data(config)
        made = Batches(config, data, data.splits["train"], 0, True, given)
        order = made.order(0)
        for step in range(made.steps):
            batch = made.batch(order, 0, step)
            wanted = given[data.labels[order[step * 16 : step * 16 + 16]]]
            if changes:  # each image weighs what it is a mixture of
                share = batch.mixing[0, 0]
                wanted = share * wanted + (1 - share) * wanted[batch.partners]
            np.testing.assert_allclose(batch.weights, wanted, atol=1e-5)


def test_every_image_once_an_epoch_in_a_new_order(tiny: Dataset):
    made = batches(tiny)
    first, again, second = made.order(0), made.order(0), made.order(1)
    assert made.steps == 4
    assert len(first) == 64
    assert set(first) == set(range(56))
    assert sorted(first[:56]) == list(range(56))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_label_smoothing(tiny: Dataset):
    made = batches(tiny, label_smoothing=0.1)
    targets = made.batch(made.order(0), 0, 0).targets
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert targets.max() == pytest.approx(0.9 + 0.1 / 7)
    assert targets.min() == pytest.approx(0.1 / 7)


def test_mixup_blends_images_and_labels_alike(tiny: Dataset):
    made = batches(tiny, mixup=1.0)
    batch = made.batch(made.order(0), 0, 0)
    share = float(batch.mixing[0, 0])
    plain = batch.images[..., None].astype(np.float32) / 255
    mixed = np.asarray(Mix()(plain, batch.partners, batch.mixing))
    np.testing.assert_allclose(mixed, share * plain + (1 - share) * plain[batch.partners], atol=1e-6)
    labels = made.data.labels[made.order(0)[:16]]
    expected = share * np.eye(7)[labels] + (1 - share) * np.eye(7)[labels[batch.partners]]
    np.testing.assert_allclose(batch.targets, expected, atol=1e-6)


def test_cutmix_pastes_a_rectangle_and_counts_its_area(tiny: Dataset):
    made = batches(tiny, cutmix=1.0)
    for step in range(4):
        batch = made.batch(made.order(0), 0, step)
        ones = np.ones((16, 48, 48, 1), dtype=np.float32)
        stacked = ones * np.arange(16, dtype=np.float32)[:, None, None, None]
        mixed = np.asarray(Mix()(stacked, batch.partners, batch.mixing))[..., 0]
        labels = made.data.labels[made.order(0)[step * 16 : step * 16 + 16]]
        for n in range(16):
            if batch.partners[n] == n or labels[n] == labels[batch.partners[n]]:
                continue
            assert set(np.unique(mixed[n])) <= {n, batch.partners[n]}
            assert batch.targets[n, labels[n]] == pytest.approx((mixed[n] == n).mean(), abs=1e-6)


def test_oversampling_repeats_evenly(tiny: Dataset):
    config = quick(tiny, oversample={"disgust": 10, "happy": 5})
    data = load_data(config)
    indices = oversampled(config, data.splits["train"], data.labels)
    repeats = np.bincount(indices, minlength=56)
    assert sorted(repeats[data.labels[:56] == 1]) == [2, 2, 3, 3]
    assert (repeats[data.labels[:56] != 1] == 1).all()  # happy has more than 5 already


def test_selection_drops_relabels_and_is_pinned(tiny: Dataset):
    mark(tiny, "clean", [0, 1], "drop", reason="test")
    mark(tiny, "clean", [2], "relabel", label="happy", reason="test")
    data = load_data(quick(tiny, selection="clean"))
    assert data.selection == "clean@2"
    assert not {0, 1} & set(data.splits["train"])
    assert data.labels[2] == 3
    mark(tiny, "clean", [3], "drop", reason="later")
    assert 3 in load_data(quick(tiny, selection="clean"), "clean@2").splits["train"]
    assert 3 not in load_data(quick(tiny, selection="clean")).splits["train"]


def test_removed_classes_are_renumbered(tiny: Dataset):
    data = load_data(quick(tiny, classes=("angry", "fear", "surprise")))
    train = data.splits["train"]
    assert set(data.labels[train]) == {0, 1, 2}
    np.testing.assert_array_equal(np.array([0, 2, 6])[data.labels[train]], tiny.labels[train])
