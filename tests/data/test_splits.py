"""Splits: the studies' counts, no image or duplicate group on two sides, the same from its JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.data.dataset import SPLITS, Dataset, pixel_hashes
from fer.data.splits import SplitConfig, duplicate_groups, split_indices
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError

RELEASE = (3995, 436, 4097, 7215, 4965, 4830, 3171)


def labelled(counts, copies=0, conflicts=0, validation=0, test=0, seed=0) -> Dataset:
    """A data set without pixels worth looking at: hashes repeat where images are copies."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.uint8)
    n = len(labels)
    numbers = np.arange(n, dtype=np.uint64)
    for _ in range(copies):
        a, b = random.choice(n, 2, replace=False)
        same = np.flatnonzero(labels == labels[a])
        numbers[random.choice(same)] = numbers[a]
        if conflicts > 0:
            numbers[b], conflicts = numbers[a], conflicts - 1
    hashes = np.stack([numbers, numbers], axis=1).view("V16").ravel()
    splits = np.zeros(n, np.uint8)
    splits[:validation] = SPLITS.index("validation")
    splits[validation : validation + test] = SPLITS.index("test")
    images = np.zeros((n, 1, 1), np.uint8)
    return Dataset("f" * 16, "labelled", images, labels, splits, [str(i) for i in range(n)], hashes)


def assert_separate(dataset, parts, names=("train", "validation")):
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not np.intersect1d(parts[a], parts[b]).size
            assert not np.isin(dataset.hashes[parts[a]], dataset.hashes[parts[b]]).any()


@pytest.mark.parametrize("group", [True, False])
def test_release_counts_of_the_studies(group):
    dataset = labelled(RELEASE, copies=1300, conflicts=50)
    parts = split_indices(dataset, SplitConfig(group_duplicates=group))
    assert (len(parts["train"]), len(parts["validation"]), len(parts["test"])) == (22968, 5741, 0)
    per_class = np.bincount(dataset.labels[parts["validation"]])
    assert list(per_class) == [int(n * 0.2) for n in RELEASE]
    weights = 22968 / (7 * np.bincount(dataset.labels[parts["train"]]))
    expected = [1.0266, 9.4016, 1.0010, 0.5685, 0.8261, 0.8492, 1.2933]
    np.testing.assert_allclose(weights, expected, atol=5e-5)
    if group:
        assert_separate(dataset, parts)
    else:
        assert np.isin(dataset.hashes[parts["validation"]], dataset.hashes[parts["train"]]).any()


def test_study_c_counts_and_groups():
    dataset = labelled(RELEASE, copies=1300, conflicts=50)
    parts = split_indices(dataset, SplitConfig(scheme="64/16/20"))
    assert [len(parts[p]) for p in SPLITS] == [18373, 4594, 5742]
    assert_separate(dataset, parts, SPLITS)
    shares = [np.bincount(dataset.labels[parts[p]]) / len(parts[p]) for p in SPLITS]
    np.testing.assert_allclose(shares[1], shares[0], atol=5e-4)
    np.testing.assert_allclose(shares[2], shares[0], atol=5e-4)


def test_folds_cover_every_image_once_and_are_stratified():
    dataset = labelled((103, 22, 97, 210, 55, 48, 61), copies=60, conflicts=5, test=80)
    seen = []
    for fold in range(5):
        parts = split_indices(dataset, SplitConfig(scheme="kfold", folds=5, fold=fold))
        assert_separate(dataset, parts)
        seen.append(parts["validation"])
        np.testing.assert_array_equal(parts["test"], dataset.indices("test"))
    everything = np.sort(np.concatenate(seen))
    np.testing.assert_array_equal(everything, dataset.indices("train"))
    per_class = np.array([np.bincount(dataset.labels[v], minlength=7) for v in seen])
    assert (per_class.max(axis=0) - per_class.min(axis=0)).max() <= 2
    assert np.ptp([len(v) for v in seen]) <= 2


def test_own_validation_is_used_and_its_copies_leave_train():
    dataset = labelled((50,) * 7, copies=40, validation=70, test=70)
    parts = split_indices(dataset, SplitConfig())
    np.testing.assert_array_equal(parts["validation"], dataset.indices("validation"))
    assert_separate(dataset, parts)
    assert 150 < len(parts["train"]) < 210
    loose = split_indices(dataset, SplitConfig(group_duplicates=False))
    np.testing.assert_array_equal(loose["train"], dataset.indices("train"))


def test_seed_decides_and_json_repeats():
    dataset = labelled((40,) * 7, copies=20)
    config = SplitConfig(scheme="kfold", folds=4, fold=2, seed=7, per_class=20)
    again = SplitConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    for part, indices in split_indices(dataset, config).items():
        np.testing.assert_array_equal(indices, split_indices(dataset, again)[part])
    other = split_indices(dataset, SplitConfig(scheme="kfold", folds=4, fold=2, seed=8))
    assert not np.array_equal(other["validation"], split_indices(dataset, config)["validation"])


def test_per_class_classes_and_limit():
    dataset = labelled((90, 30, 90, 90, 90, 90, 90), test=70)
    parts = split_indices(dataset, SplitConfig(per_class=50))
    assert np.bincount(dataset.labels[parts["train"]]).max() == 50
    assert len(parts["validation"]) > 80
    six = [name for name in EMOTIONS if name != "disgust"]
    parts = split_indices(dataset, SplitConfig(), classes=six)
    assert all(1 not in dataset.labels[parts[p]] for p in SPLITS)
    parts = split_indices(dataset, SplitConfig(), limit=60)
    assert (len(parts["train"]), len(parts["validation"]), len(parts["test"])) == (60, 60, 70)
    assert set(dataset.labels[parts["train"]]) == set(range(7))


class FakeSelection:
    """What `split_indices` asks of a selection."""

    def __init__(self, dropped, relabelled):
        self.dropped, self.relabelled = dropped, relabelled

    def keep_mask(self, dataset):
        mask = np.ones(len(dataset), bool)
        mask[self.dropped] = False
        return mask

    def labels(self, dataset):
        labels = dataset.labels.copy()
        for index, label in self.relabelled.items():
            labels[index] = label
        return labels


def test_selection_drops_without_moving_the_rest_and_never_touches_test():
    dataset = labelled((40,) * 7, test=60)
    before = split_indices(dataset, SplitConfig())
    dropped = np.concatenate([before["train"][:10], before["validation"][:3], before["test"][:5]])
    after = split_indices(dataset, SplitConfig(), FakeSelection(dropped, {}))
    np.testing.assert_array_equal(after["train"], before["train"][10:])
    np.testing.assert_array_equal(after["validation"], before["validation"][3:])
    np.testing.assert_array_equal(after["test"], before["test"])
    happy = int(before["train"][np.flatnonzero(dataset.labels[before["train"]] == 3)[0]])
    without = [name for name in EMOTIONS if name != "sad"]
    relabelled = split_indices(dataset, SplitConfig(), FakeSelection([], {happy: 5}), classes=without)
    assert happy not in relabelled["train"]


@given(
    counts=st.lists(st.integers(6, 40), min_size=7, max_size=7),
    copies=st.integers(0, 150),
    conflicts=st.integers(0, 20),
    scheme=st.sampled_from(["release", "kfold", "64/16/20"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_no_image_and_no_group_is_ever_on_two_sides(counts, copies, conflicts, scheme, seed):
    dataset = labelled(counts, copies=copies, conflicts=conflicts, seed=seed % 1000)
    parts = split_indices(dataset, SplitConfig(scheme=scheme, seed=seed))
    assert_separate(dataset, parts, SPLITS)
    together = np.sort(np.concatenate(list(parts.values())))
    np.testing.assert_array_equal(together, np.arange(len(dataset)))


@pytest.mark.parametrize(
    "settings_",
    [
        {"scheme": "thirds"},
        {"validation_fraction": 0},
        {"validation_fraction": 1.5},
        {"validation_fraction": float("nan")},
        {"validation_fraction": "0.2"},
        {"folds": 1},
        {"folds": 5, "fold": 5},
        {"per_class": 0},
        {"seed": -1},
        {"seed": True},
        {"group_duplicates": 1},
    ],
)
def test_bad_values_are_named(settings_):
    with pytest.raises(UserError) as error:
        SplitConfig(**settings_)
    assert str(list(settings_.values())[-1])[:5] in str(error.value)


def test_errors_say_what_to_do():
    dataset = labelled((5,) * 7, test=35)
    with pytest.raises(UserError, match="no training images"):
        split_indices(dataset, SplitConfig())
    with pytest.raises(UnknownName, match="angri"):
        split_indices(labelled((5,) * 7), SplitConfig(), classes=["angri", "happy"])
    with pytest.raises(UserError, match="at least 2"):
        split_indices(labelled((5,) * 7), SplitConfig(), classes=["happy"])
    with pytest.raises(UserError, match="limit"):
        split_indices(labelled((5,) * 7), SplitConfig(), limit=0)
    with pytest.raises(UnknownName, match="colour"):
        SplitConfig.from_json({"colour": 1})


def test_duplicate_groups_follow_pixels():
    images = np.zeros((4, 48, 48), np.uint8)
    images[1] = 7
    images[3] = 7
    groups = duplicate_groups(pixel_hashes(images))
    assert groups[0] == groups[2] != groups[1] == groups[3]


def test_real_release(real_dataset):
    parts = split_indices(real_dataset, SplitConfig())
    assert [len(parts[p]) for p in SPLITS] == [22968, 5741, 3589]
    assert_separate(real_dataset, parts)
