"""Calibration against a case worked by hand and against data of known temperature."""

import numpy as np
import pytest

from fer.errors import UserError
from fer.evaluation import calibration


def rows(confidences, top=0):
    """Probabilities with the given confidence in class `top`, the rest spread over the other six."""
    confidences = np.asarray(confidences, dtype=float)
    result = np.repeat((1 - confidences)[:, None] / 6, 7, axis=1)
    result[:, top] = confidences
    return result


def test_expected_calibration_error_worked_by_hand():
    # bin (14/15, 1]: confidences 0.95 and 0.97, one correct: |0.5 - 0.96| = 0.46, 2 of 5 images
    # bin (8/15, 9/15]: confidences 0.55, 0.57 and 0.59, all correct: |1 - 0.57| = 0.43, 3 of 5 images
    probabilities = rows([0.95, 0.97, 0.55, 0.57, 0.59])
    labels = np.array([0, 1, 0, 0, 0])
    expected = 0.4 * 0.46 + 0.6 * 0.43
    assert calibration.expected_calibration_error(labels, probabilities) == pytest.approx(expected)
    diagram = calibration.reliability(labels, probabilities)
    assert diagram.images[14] == 2
    assert diagram.images[8] == 3
    assert sum(diagram.images) == 5
    assert diagram.confidence[14] == pytest.approx(0.96)
    assert diagram.accuracy[14] == 0.5
    assert diagram.confidence[0] is None
    assert len(diagram.edges) == 16


def test_certainty_falls_into_the_last_bin():
    diagram = calibration.reliability(np.array([0]), np.eye(7)[[0]])
    assert diagram.images[-1] == 1
    assert diagram.ece == 0


def drawn(temperature, n=20_000, seed=1):
    """Labels drawn from softmax(logits); the model reports softmax(logits * temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 7)) * 1.5
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    said = np.exp(logits * temperature)
    return labels, said / said.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_data_is_found_and_mends_the_calibration(temperature):
    labels, said = drawn(temperature)
    found = calibration.fit_temperature(labels, said)
    assert found == pytest.approx(temperature, rel=0.05)
    mended = calibration.apply_temperature(said, found)
    assert calibration.expected_calibration_error(labels, mended) < 0.02
    assert (mended.argmax(axis=1) == said.argmax(axis=1)).all()
    assert mended.sum(axis=1) == pytest.approx(1)


def test_removed_classes_stay_impossible():
    labels, said = drawn(2.0)
    said[:, 6] = 0
    said /= said.sum(axis=1, keepdims=True)
    kept = labels != 6
    temperature = calibration.fit_temperature(labels, said)
    assert temperature == pytest.approx(calibration.fit_temperature(labels[kept], said[kept]))
    assert (calibration.apply_temperature(said, temperature)[:, 6] == 0).all()


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(UserError, match="validation"):
        calibration.fit_temperature(np.zeros(0, int), np.zeros((0, 7)))
    with pytest.raises(UserError, match="above 0"):
        calibration.apply_temperature(rows([0.5]), 0)
