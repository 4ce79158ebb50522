"""SMOTE in feature space: balanced classes, only the last layer changes, no foreign images."""

import numpy as np
import pytest

from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.models.loading import load_model
from fer.runs import create_run
from fer.training.config import Phase
from fer.training.fit import fit
from fer.training.smote import balance
from tests.training.conftest import quick


def test_balanced_rows_lie_between_neighbours():
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 3)).astype(np.float32)
    labels = np.repeat([0, 1], [32, 8])
    rows, classes = balance(features, labels, 1)
    assert np.bincount(classes).tolist() == [32, 32]
    np.testing.assert_array_equal(rows[:40], features)
    made = rows[40:]
    low, high = features[labels == 1].min(axis=0), features[labels == 1].max(axis=0)
    assert ((made >= low - 1e-6) & (made <= high + 1e-6)).all()
    with pytest.raises(UserError, match="at least 2"):
        balance(features[:33], np.repeat([0, 1], [32, 1]), 1)


def test_only_the_last_layer_is_trained(tiny: Dataset):
    config = quick(tiny)
    base = create_run(config.to_json(), name="base")
    fit(config, base.directory)
    second = quick(tiny, smote="base", phases=(Phase(epochs=2, learning_rate=0.01),))
    run = create_run(second.to_json(), name="smote")
    assert fit(second, run.directory).metrics["epochs"] == 2
    before = load_model(base.directory / "best.keras")
    after = load_model(run.directory / "best.keras")
    for one, other in zip(before.layers, after.layers, strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
        assert same == (one.name != "logits"), one.name


def test_another_split_is_refused(tiny: Dataset):
    config = quick(tiny)
    base = create_run(config.to_json(), name="base")
    other = quick(tiny, smote="base", limit=20)
    with pytest.raises(UserError, match="setting limit is None and not 20"):
        fit(other, base.directory.parent / "other")
