"""The map puts like beside like, is stored, and can be stopped."""

import numpy as np
import pytest

from fer.analysis.embedding import compute_embedding, load_embedding, run, stored_embeddings
from fer.data.dataset import save_dataset
from fer.errors import UserError
from tests.data.sourcekit import picture


@pytest.fixture
def clusters():
    random = np.random.default_rng(0)
    centres = [picture(n).astype(int) for n in range(3)]
    images = [np.clip(c + random.normal(0, 8, c.shape), 0, 255) for c in centres for _ in range(40)]
    labels = np.repeat([0, 1, 2], 40)
    return save_dataset("clusters", np.stack(images), labels, [0] * 120, [str(n) for n in range(120)])


def test_like_lies_beside_like(clusters):
    seen = []
    made = compute_embedding(clusters, progress=lambda fraction, text: seen.append(fraction))
    assert made.points.shape == (120, 2)
    assert seen[-1] == 1.0
    distances = np.linalg.norm(made.points[:, None] - made.points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    labels = clusters.labels[made.indices]
    assert (labels[nearest] == labels).mean() > 0.95
    again = load_embedding(clusters)
    np.testing.assert_array_equal(again.points, made.points)
    assert stored_embeddings(clusters) == [("pixels", 6000)]


def test_features_and_a_limit(clusters):
    features = np.column_stack([clusters.labels * 10.0, np.arange(120) / 100, np.zeros(120)])
    made = compute_embedding(clusters, "some-run", 60, features)
    assert len(made.indices) == 60
    assert list(made.indices) == sorted(made.indices)
    assert load_embedding(clusters, "some-run", 60) is not None
    assert load_embedding(clusters) is None


def test_stopping_stores_nothing(clusters, tmp_path):
    config = {"dataset": clusters.fingerprint}
    assert run(config, tmp_path, lambda fraction, text: None, lambda: True)["stopped"]
    assert load_embedding(clusters) is None


def test_limits(clusters):
    with pytest.raises(UserError, match="49"):
        compute_embedding(clusters, limit=49)
