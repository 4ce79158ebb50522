"""The watermark finder: its network is the one that was trained, and it finds what it is measured on."""

import cv2
import numpy as np

from fer.analysis.watermarks import score, stamp_map, watermark_scores
from tests.data.sourcekit import picture

KNOWN = ("Training_7118915.", "Training_10229138.", "Training_15579995.", "Training_20437400.")
TOP = 0.15


def test_numpy_computes_what_keras_would():
    from fer.analysis.watermark_training import build
    from fer.analysis.watermarks import DILATIONS, PARAMETERS, PLACES, _weights, normalised

    weights = _weights()
    assert sum(array.size for array in weights.values()) == PARAMETERS
    model = build()
    assert model.count_params() == PARAMETERS
    for name in (*DILATIONS, "mask"):
        model.get_layer(name).set_weights([weights[name], weights[f"{name}_bias"]])
    images = np.random.default_rng(0).integers(0, 256, (17, 48, 48), dtype=np.uint8)
    places, _ = model.predict_on_batch(normalised(images)[..., None])
    np.testing.assert_allclose(stamp_map(images).reshape(17, -1), places, rtol=1e-3, atol=1e-3)
    expected = np.sort(places, axis=1)[:, -PLACES:].mean(axis=1)
    np.testing.assert_allclose(score(images), expected, rtol=1e-3, atol=1e-3)


def test_a_stamp_raises_the_score_where_it_lies():
    """A word across the lower half of smooth pictures, in white at 40 %."""
    clean = np.stack([picture(seed) for seed in range(20)])
    layer = np.zeros((192, 192), np.uint8)
    cv2.putText(layer, "stockphoto", (4, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255,), 4, cv2.LINE_AA)
    alpha = cv2.resize(layer, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 * 0.4
    marked = (clean + (255 - clean) * alpha).astype(np.uint8)
    assert (score(marked) > score(clean)).mean() >= 0.9
    risen = (stamp_map(marked) - stamp_map(clean)).mean(axis=0)
    assert risen[16:20].mean() > risen[:10].mean() + 0.2


def test_stamps_and_their_training():
    """Stamps cover a part of the picture, faint to plain; a few steps of the real training lower its loss."""
    import keras

    from fer.analysis import watermark_stamps as drawing
    from fer.analysis.watermark_training import Faces, Stage, build, fit

    random = np.random.default_rng(0)
    stamps = np.stack([drawing.stamp(random, logos) for logos in (0.3, 0.7) for _ in range(30)])
    covered = drawing.places(stamps).mean(axis=(1, 2))
    assert (covered > 0).mean() > 0.8
    assert covered.max() < 0.9
    grey = np.full((60, 48, 48), 120, np.uint8)
    change = np.abs(drawing.stamped(grey, stamps, random) - 120).max(axis=(1, 2))
    assert change.max() > 40
    keras.utils.set_random_seed(0)
    faces = np.stack([picture(seed) for seed in range(256)])
    none = np.zeros(256, bool)
    part = Faces(faces, none, none).part(130, random)
    assert len(part.images) == 130
    model = build()
    before = [w.copy() for w in model.get_weights()]
    fit(model, Faces(faces, none, none), Stage(1, 1e-3, 0.5), 0, stamps=200)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_most_drawn_watermarks_are_in_the_top(demo_dataset):
    from fer.data.demo import demo_factors

    drawn = np.array([bool(factor["watermark"]) for factor in demo_factors(demo_dataset)])
    seen = []
    scores = watermark_scores(demo_dataset, lambda fraction, text: seen.append(fraction))
    assert seen[-1] == 1.0
    top = np.argsort(-scores)[: int(TOP * len(scores))]
    assert drawn[top].sum() / drawn.sum() >= 0.7
    np.testing.assert_array_equal(watermark_scores(demo_dataset), scores)


def test_flat_and_empty():
    flat = score(np.full((2, 48, 48), 90, np.uint8))
    assert np.isfinite(flat).all()
    assert score(np.zeros((0, 48, 48), np.uint8)).shape == (0,)


def test_the_known_watermarks_of_fer2013(real_dataset):
    """Each of the four that experiments.md names, against every second image of train."""
    train = real_dataset.indices("train")
    known = [next(i for i in train if name in real_dataset.names[i]) for name in KNOWN]
    others = score(real_dataset.images[train[::2]])
    places = [(others > found).mean() for found in score(real_dataset.images[known])]
    assert max(places) < TOP, places
