"""Outliers: the study's network and counts, scores in file order, thresholds that compute nothing."""

import numpy as np
import pytest

from fer.analysis.outlier_scoring import code_distances, fit_forest, fit_pca, reconstruct
from fer.analysis.outlier_training import OutlierConfig, run
from fer.analysis.outliers import (
    DETECTORS,
    Scores,
    error_map,
    flag,
    load_scores,
    overlap,
    reconstructions,
    save_scores,
)
from fer.data.dataset import save_dataset
from fer.errors import UserError
from tests.data.sourcekit import picture


@pytest.fixture
def faces():
    """140 smooth images and, in test, 4 checkerboards that nothing learns from smooth ones."""
    board = (np.indices((48, 48)).sum(axis=0) % 2 * 255).astype(np.uint8)
    images = np.stack(
        [picture(n) for n in range(140)] + [np.roll(board, n, axis=0) // (n + 1) for n in range(4)]
    )
    labels = np.arange(144) % 7
    splits = np.where((np.arange(144) % 9 == 8) | (np.arange(144) >= 140), 2, 0)
    return save_dataset("faces", images, labels, splits, [str(n) for n in range(144)])


@pytest.mark.parametrize(("count", "flagged"), [(22_968, 460), (28_709, 575)])
def test_the_studys_count_at_its_percentile(count, flagged):
    class Many:
        name = "many"
        labels = (np.arange(count) % 7).astype(np.uint8)

        def indices(self, split):
            return np.arange(count)

    errors = np.random.default_rng(0).gamma(2.0, 0.001, count).astype(np.float32)
    found = flag(Many(), Scores("autoencoder", errors))
    assert (len(found.flagged), len(found.kept)) == (flagged, count - flagged)
    assert errors[found.flagged].min() > found.threshold >= errors[found.kept].max()
    assert (np.diff(errors[found.flagged]) <= 0).all()
    assert sum(out for out, _ in found.per_class.values()) == flagged
    assert sum(of for _, of in found.per_class.values()) == count


def test_a_subset_can_be_divided(faces):
    scores = Scores("pca", np.arange(144, dtype=np.float32))
    found = flag(faces, scores, 90, np.arange(50))
    assert list(found.flagged) == [49, 48, 47, 46, 45]
    for wrong in (89.9, 100, "98", float("nan"), True):
        with pytest.raises(UserError, match=r"from 90 to 99\.9"):
            flag(faces, scores, wrong)
    with pytest.raises(UserError, match="no training images"):
        flag(faces, scores, 98, np.array([], int))


@pytest.mark.parametrize("fit", [fit_pca, fit_forest])
def test_detectors_without_a_network_find_the_boards(faces, fit):
    scores = fit(faces)
    assert scores.errors.shape == (144,)
    assert set(np.argsort(-scores.errors)[:2]) <= {140, 141, 142, 143}
    save_scores(faces, scores)
    stored = load_scores(faces, scores.detector)
    np.testing.assert_array_equal(stored.errors, scores.errors)
    np.testing.assert_array_equal(fit(faces).errors, scores.errors)


def test_overlap_counts_what_both_flag(faces):
    save_scores(faces, Scores("pca", np.arange(144, dtype=np.float32)))
    other = np.arange(144, dtype=np.float32)
    other[faces.indices("train")[-1]] = -1
    save_scores(faces, Scores("isolation forest", other))
    table = overlap(faces, 95)
    assert set(table) == {"pca", "isolation forest"}
    own = table["pca"]["pca"]
    assert own == table["isolation forest"]["isolation forest"]
    assert table["pca"]["isolation forest"] == table["isolation forest"]["pca"] == own - 1


def test_the_network_is_the_studys():
    from fer.models.autoencoder import PARAMETERS, build

    model = build()
    assert model.count_params() == PARAMETERS == 75_425
    assert model.output_shape == (None, 48, 48, 1)
    filters = [layer.filters for layer in model.layers if layer.name.endswith("conv")]
    assert filters == [32, 64, 32, 64, 32]


def test_the_job_trains_scores_and_stores(faces, tmp_path):
    config = OutlierConfig(faces.fingerprint, epochs=3, batch_size=16).to_json()
    polls = iter([False] * 10 + [True])
    first = run(config, tmp_path, lambda fraction, text: None, lambda: next(polls))
    assert first == {"stopped": True, "metrics": {}}
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 2  # one epoch of 7 steps was finished
    assert load_scores(faces) is None
    seen = []
    done = run(config, tmp_path, lambda fraction, text: seen.append(fraction), lambda: False)
    assert not done["stopped"]
    assert done["metrics"]["parameters"] == 75_425
    assert done["metrics"]["epochs"] == 3
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    scores = {name: load_scores(faces, name) for name in DETECTORS}
    assert all(len(found.errors) == 144 for found in scores.values())
    stored = reconstructions(faces)
    assert stored.shape == (144, 48, 48)
    for index in (0, 33, 143):
        shown = error_map(faces.images[index], stored[index]).mean()
        assert shown == pytest.approx(scores["autoencoder"].errors[index], rel=0.05, abs=1e-4)


def test_scores_belong_to_their_files():
    """Study A scored a shuffled, augmented stream; here the order of the images is that of the scores."""
    import keras

    inputs = keras.Input((48, 48, 1))
    model = keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs))
    images = np.stack([np.full((48, 48), n, np.uint8) for n in range(0, 250, 7)])
    order = np.array([5, 2, 30, 9])
    found = reconstruct(model, images, order)
    np.testing.assert_allclose(found.errors, (images[order, 0, 0] / 255 / 2) ** 2, rtol=1e-5)
    np.testing.assert_allclose(found.pictures[:, 0, 0], images[order, 0, 0] / 2, atol=0.51)
    assert len(reconstruct(model, images, np.arange(0)).errors) == 0


def test_scores_are_those_of_predict():
    """The compiled function from bytes to bytes against Keras' own predict, with a padded last batch."""
    import keras

    from fer.models.autoencoder import build

    keras.utils.set_random_seed(3)
    model = build()
    images = np.stack([picture(n) for n in range(41)])
    pixels = images[..., None].astype(np.float32) / 255
    made = model.predict(pixels, verbose=0)
    code = keras.Model(model.inputs, model.get_layer("code_bn").output).predict(pixels, verbose=0)
    seen = []
    found = reconstruct(model, images, np.arange(41), lambda fraction, text: seen.append(fraction))
    np.testing.assert_allclose(found.errors, np.square(made - pixels).mean(axis=(1, 2, 3)), rtol=1e-5)
    assert np.abs(found.pictures - made[..., 0] * 255).max() <= 0.51
    np.testing.assert_allclose(found.codes[:, :32], code.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(found.codes[:, 32:], code.std(axis=(1, 2)), atol=1e-4)
    assert seen[-1] == 1.0


def test_the_code_distance_is_mahalanobis():
    """Along a direction that hardly varies the same step is further than along one that varies much."""
    random = np.random.default_rng(0)
    codes = np.column_stack([random.normal(0, 10, 500), random.normal(0, 0.1, 500), np.full(500, 3.0)])
    codes = codes.astype(np.float32)
    codes[498], codes[499] = [30, 0, 3], [0, 1, 3]
    distances = code_distances(codes, np.arange(498))
    assert distances[498] == pytest.approx(3, rel=0.1)
    assert distances[499] == pytest.approx(10, rel=0.1)
    with pytest.raises(UserError, match="at least 2"):
        code_distances(codes, np.arange(1))


PLANTED = ("drawing", "covered", "text", "texture")
PLANTED_SEED = 90_210  # of faces and outliers; development used 11 to 14


def test_planted_outliers_are_in_the_top(tmp_path, monkeypatch):
    """Ten each of four kinds among 2,000 demo faces: the product's own job, three of its ten epochs."""
    from fer.data.demo import draw_demo
    from fer.data.demo.outliers import draw_outliers

    drawn, _, _, _, factors, _ = draw_demo(None, PLANTED_SEED, 2600)
    faces = drawn[[n for n, factor in enumerate(factors) if not factor["outlier"]][:2000]]
    assert len(faces) == 2000
    images = np.concatenate([faces, *(draw_outliers(kind, 10, PLANTED_SEED) for kind in PLANTED)])
    count = len(images)
    dataset = save_dataset(
        "planted", images, np.arange(count) % 7, np.zeros(count), [f"{n:04d}" for n in range(count)]
    )
    config = OutlierConfig(dataset.fingerprint, ("autoencoder",), epochs=3).to_json()
    monkeypatch.setattr("fer.backend.processor_has_bfloat16", lambda: False)  # the same on every processor
    assert not run(config, tmp_path, lambda fraction, text: None, lambda: False)["stopped"]
    top = {
        name: flag(dataset, load_scores(dataset, name), 97).flagged
        for name in ("autoencoder", "code distance")
    }
    caught = {
        name: [int((found // 10 == (2000 // 10) + kind).sum()) for kind in range(4)]
        for name, found in top.items()
    }
    assert sum(caught["code distance"]) >= 30, caught
    assert caught["autoencoder"][0] + caught["autoencoder"][2] >= 18, caught  # drawn and text


def test_two_percent_of_the_real_train_split_is_flagged(real_dataset, tmp_path):
    """The 98th percentile of real errors, an untrained network's too: 2 % of 28,709 (574.18) ± 1 image."""
    import keras

    from fer.models.autoencoder import build

    keras.utils.set_random_seed(0)
    model = build()
    train = real_dataset.indices("train")
    found = reconstruct(model, real_dataset.images, train[:4000])
    for errors, indices in ((found.errors, train[:4000]), (fit_pca(real_dataset).errors, train)):
        every = np.zeros(len(real_dataset), np.float32)
        every[indices] = errors if len(errors) == len(indices) else errors[indices]
        flagged = flag(real_dataset, Scores("autoencoder", every), 98, indices)
        assert abs(len(flagged.flagged) - 0.02 * len(indices)) <= 1
        assert len(flagged.flagged) + len(flagged.kept) == len(indices)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 4},
        {"batch_size": True},
        {"detectors": ("magic",)},
        {"learning_rate": 0},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(UserError):
        OutlierConfig("x", **wrong)
    with pytest.raises(UserError, match="colour"):
        OutlierConfig.from_json({"dataset": "x", "colour": 1})


def test_reading_scores_needs_no_tensorflow():
    import subprocess
    import sys

    script = "import fer.analysis.outliers, fer.analysis.denoising, sys; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
