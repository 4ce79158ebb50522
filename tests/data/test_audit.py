"""The audit: planted copies, leaks, conflicts and flat images are counted exactly; the real numbers."""

import time

import cv2
import numpy as np
import pytest

from fer.data import near_duplicates
from fer.data.audit import (
    audit,
    conflicting_images,
    constant_images,
    exact_groups,
    leaked_test_images,
    leaked_test_mask,
    leaked_training_images,
)
from fer.data.dataset import pixel_hashes, save_dataset
from fer.errors import UserError
from tests.data.sourcekit import picture

TRAIN, VALIDATION, TEST = 0, 1, 2


@pytest.fixture
def planted():
    """100 different images, then copies: of 3 within train, of 5 across, of 7 and 9 with other labels."""
    images = [picture(n) for n in range(100)]
    labels = [n % 7 for n in range(100)]
    splits = [TRAIN] * 60 + [VALIDATION] * 20 + [TEST] * 20
    for source, split, label in [(3, TRAIN, 3), (5, TEST, 5), (5, TEST, 5), (7, VALIDATION, 1), (9, TEST, 0)]:
        images.append(images[source])
        labels.append(label)
        splits.append(split)
    images += [np.full((48, 48), 7, np.uint8), np.full((48, 48), 200, np.uint8)]
    labels += [0, 1]
    splits += [TRAIN, TEST]
    return save_dataset("planted", np.stack(images), labels, splits, [f"n{n}" for n in range(107)])


def test_planted_counts(planted):
    expected = {
        "images": 107,
        "missing_pixels": 0,
        "constant": 2,
        "duplicate_groups": 4,
        "duplicate_images": 9,
        "leaking_groups": 3,
        "leaked_test_images": 3,
        "leaked_training_images": 2,
        "conflicting_groups": 2,
        "quarantined": 0,
    }
    assert audit(planted) == expected
    assert audit(planted) == expected  # from the cache


def test_groups_can_be_looked_at(planted):
    groups = exact_groups(planted)
    assert [group.members for group in groups] == [(3, 100), (5, 101, 102), (7, 103), (9, 104)]
    assert [group.crosses for group in groups] == [False, True, True, True]
    assert [group.leaks for group in groups] == [False, True, False, True]
    assert [group.conflicts for group in groups] == [False, False, True, True]
    assert list(constant_images(planted)) == [105, 106]
    assert list(conflicting_images(planted)) == [7, 9, 103, 104]
    assert list(leaked_test_images(planted)) == [101, 102, 104]
    assert list(leaked_training_images(planted)) == [5, 9]


def test_leaks_are_counted_against_what_a_run_saw(planted):
    seen = planted.hashes[[5, 0, 1]]
    test = planted.indices("test")
    assert list(test[leaked_test_mask(planted, seen)]) == [101, 102]
    assert list(leaked_test_mask(planted, pixel_hashes(planted.images[[9]]), np.array([9, 10]))) == [
        True,
        False,
    ]
    assert not leaked_test_mask(planted, np.zeros(0, "V16")).any()


@pytest.fixture
def similar():
    """Natural-looking images; 40 is 0 brighter, 41 is 1 compressed again, 42 is 2 with less contrast."""
    images = [picture(n) for n in range(40)]
    images.append(np.clip(images[0].astype(int) + 12, 0, 255).astype(np.uint8))
    images.append(cv2.imdecode(cv2.imencode(".jpg", images[1], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0))
    images.append((images[2] * 0.9).astype(np.uint8))
    images.append(images[2])
    images.append(np.zeros((48, 48), np.uint8))
    images.append(np.ones((48, 48), np.uint8))
    splits = [TRAIN] * 40 + [TEST] * 6
    return save_dataset("similar", np.stack(images), [0] * 46, splits, [str(n) for n in range(46)])


def test_near_duplicates_are_found_within_and_across(similar):
    seen = []
    with pytest.raises(UserError, match="not been searched"):
        near_duplicates.near_groups(similar)
    near_duplicates.near_pairs(similar, lambda fraction, text: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    groups = near_duplicates.near_groups(similar, 4)
    assert {group.members for group in groups} == {(0, 40), (1, 41), (2, 42, 43)}
    assert all(group.leaks for group in groups)
    assert near_duplicates.near_summary(similar, 4)["leaked_test_images"] == 4
    loosest = near_duplicates.near_groups(similar, near_duplicates.MAX_DISTANCE)
    assert sum(len(g.members) for g in loosest) >= sum(len(g.members) for g in groups)
    assert not any({44, 45} & set(group.members) for group in loosest)


def test_near_groups_are_stars_not_chains(similar, monkeypatch):
    chain = {"first": np.array([0, 1, 2, 3]), "second": np.array([1, 2, 3, 4]), "distance": np.array([2] * 4)}
    monkeypatch.setattr(near_duplicates, "stored_pairs", lambda dataset: chain)
    groups = near_duplicates.near_groups(similar, 2)
    assert [group.members for group in groups] == [(0, 1, 2, 42 + 1), (3, 4)]
    assert near_duplicates.near_groups(similar, 0) == []


def test_near_pairs_are_those_of_imagehash(similar):
    import imagehash
    from PIL import Image

    pairs = near_duplicates.near_pairs(similar)
    for first, second, distance in zip(pairs["first"], pairs["second"], pairs["distance"], strict=True):
        a, b = (imagehash.phash(Image.fromarray(similar.images[i])) for i in (first, second))
        assert a - b == distance


def test_the_search_stops_and_can_be_started_again(similar, tmp_path):
    config = {"dataset": similar.fingerprint}
    stopped = near_duplicates.run(config, tmp_path, lambda fraction, text: None, lambda: True)
    assert stopped == {"stopped": True, "metrics": {}}
    assert near_duplicates.stored_pairs(similar) is None
    done = near_duplicates.run(config, tmp_path, lambda fraction, text: None, lambda: False)
    assert done["metrics"]["groups"] == 3


@pytest.mark.parametrize("distance", [-2, 11, 2.0, True, "4"])
def test_a_distance_out_of_range_is_named(similar, distance):
    with pytest.raises(UserError, match="from 0 to 10"):
        near_duplicates.near_groups(similar, distance)


def test_real_counts(real_dataset):
    started = time.process_time()
    found = audit(real_dataset)
    assert time.process_time() - started < 5
    assert {key: found[key] for key in found if key not in ("images", "quarantined")} == {
        "missing_pixels": 0,
        "constant": 12,
        "duplicate_groups": 1273,
        "duplicate_images": 2805,
        "leaking_groups": 270,
        "leaked_test_images": 280,
        "leaked_training_images": 351,
        "conflicting_groups": 47,
    }
    groups = exact_groups(real_dataset)
    assert len(groups) == 1273
    assert len(conflicting_images(real_dataset)) == sum(len(g.members) for g in groups if g.conflicts)


def test_real_near_duplicates(real_dataset):
    """How many images look alike without being identical, by distance; every group keeps to its hub."""
    assert near_duplicates.near_pairs(real_dataset) is not None
    counted = {distance: near_duplicates.near_summary(real_dataset, distance) for distance in (0, 4, 10)}
    found = {d: (c["groups"], c["images"], c["leaked_test_images"]) for d, c in counted.items()}
    assert found == {0: (87, 212, 22), 4: (660, 1774, 187), 10: (2689, 8716, 948)}
