"""Balanced weights of a data set one of whose classes is grown: each class counts the same, once."""

import numpy as np
import pytest

from fer.data.dataset import Dataset
from fer.training.config import Phase
from fer.training.fit import Training
from fer.training.tracking import Tracker
from tests.training.conftest import quick


@pytest.mark.parametrize("grown", [{}, {"disgust": 40}])
def test_every_class_has_the_same_share_of_the_loss(tiny: Dataset, tmp_path, grown: dict):
    config = quick(tiny, class_weights="balanced", oversample=grown, phases=(Phase(epochs=1),))
    tracker = Tracker(tmp_path, config.to_json())
    training = Training(config, tmp_path, None, lambda: False, tracker)
    batches = training._batches(0, config.phases[0])
    labels = training.data.labels[batches.indices]
    assert np.bincount(labels)[1] == grown.get("disgust", 4)
    weights = batches.weights[labels]
    shares = np.bincount(labels, weights) / weights.sum()
    np.testing.assert_allclose(shares, 1 / 7, rtol=1e-5)
