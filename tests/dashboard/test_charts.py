"""Charts draw the numbers they are given, name their axes and keep the colours of the classes."""

import numpy as np
import pandas as pd
import pytest

from dashboard import charts, result_charts
from fer.emotions import COLOURS, EMOTIONS

COUNTS = {"train": dict(zip(EMOTIONS, range(10, 17), strict=True)), "test": dict.fromkeys(EMOTIONS, 3)}
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "loss": [2.0, 1.5, 1.0, 0.5],
        "accuracy": [0.1, 0.2, 0.4, 0.8],
        "val_accuracy": [0.2, 0.5, 0.4, 0.3],
        "learning_rate": [0.1, 0.1, 0.01, 0.01],
    }
)


def test_class_distribution_has_one_bar_a_class_and_split():
    figure = charts.class_distribution(COUNTS)
    assert [bar.name for bar in figure.data] == ["train", "test"]
    assert list(figure.data[0].y) == list(range(10, 17))
    assert list(figure.data[0].x) == list(EMOTIONS)


def test_the_pixel_histogram_is_a_share_that_sums_to_100():
    figure = charts.pixel_histogram({"train": np.full(256, 7)})
    assert sum(figure.data[0].y) == pytest.approx(100)


def test_curves_show_training_validation_and_the_kept_checkpoint():
    figure = charts.curves({"a": HISTORY}, "accuracy", chosen={"a": 2})
    training, validation, kept = figure.data
    np.testing.assert_allclose(training.y, [10, 20, 40, 80])
    np.testing.assert_allclose(validation.y, [20, 50, 40, 30])
    assert (list(kept.x), list(kept.y)) == ([2], [50])


def test_smoothing_is_an_exponential_moving_average_and_zero_changes_nothing():
    smooth = charts.curves({"a": HISTORY}, "loss", smoothing=0.5).data[0]
    weights = np.array([0.5**3, 0.5**2, 0.5, 1])
    assert smooth.y[-1] == pytest.approx((weights * HISTORY["loss"]).sum() / weights.sum())
    np.testing.assert_allclose(charts.curves({"a": HISTORY}, "loss").data[0].y, HISTORY["loss"])


def test_the_normalised_confusion_matrix_has_rows_of_100_percent_and_keeps_empty_rows_at_zero():
    matrix = np.arange(49).reshape(7, 7)
    matrix[3] = 0
    shown = np.asarray(result_charts.confusion(matrix, normalised=True).data[0].z, dtype=float)
    np.testing.assert_allclose(shown.sum(axis=1), [100, 100, 100, 0, 100, 100, 100])
    np.testing.assert_array_equal(result_charts.confusion(matrix, normalised=False).data[0].z, matrix)


def test_probabilities_are_sorted_with_the_true_class_marked():
    bar = charts.probabilities(
        dict(zip(EMOTIONS, [0.1, 0, 0, 0.6, 0.3, 0, 0], strict=True)), marked="neutral"
    ).data[0]
    assert bar.y[-1] == "happy"
    assert bar.y[-2] == "neutral ✓"
    assert bar.marker.color[-1] == COLOURS["happy"]
    assert bar.x[-1] == pytest.approx(60)


@pytest.mark.parametrize(
    "figure",
    [
        charts.class_distribution(COUNTS),
        charts.class_weights(dict.fromkeys(EMOTIONS, 1.0)),
        charts.pixel_histogram({"train": np.ones(256)}),
        charts.curves({"a": HISTORY}, "accuracy"),
        charts.curves({"a": HISTORY}, "loss"),
        charts.curves({"a": HISTORY}, "learning_rate"),
        result_charts.confusion(np.eye(7), True),
        result_charts.per_class({"a": {"happy": {"f1": 0.5, "support": 3}}}, "f1"),
    ],
    ids=lambda figure: figure.layout.yaxis.title.text,
)
def test_every_axis_is_named(figure):
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text


def test_every_cell_of_a_confusion_matrix_has_a_marker_to_click():
    """Browsers report no click on a heat map."""
    matrix = np.arange(49).reshape(7, 7)
    figure = result_charts.confusion(matrix, normalised=False, chosen=("fear", "sad"))
    markers = figure.data[1]
    cells = {(x, y): tuple(c[:3]) for x, y, c in zip(markers.x, markers.y, markers.customdata, strict=True)}
    assert len(cells) == 49
    assert cells[("sad", "fear")] == ("fear", "sad", 2 * 7 + 5), "x is predicted, y is true"
    (outline,) = figure.layout.shapes
    assert (outline.x0 + 0.5, outline.y0 + 0.5) == (EMOTIONS.index("sad"), EMOTIONS.index("fear"))


def test_accuracy_against_a_property_has_a_line_and_intervals_for_every_run():
    bins = [{"mean": 1.0, "accuracy": 0.5, "interval": [0.4, 0.7]}]
    first, second = result_charts.accuracy_by({"a": bins, "b": bins}, "outlier error").data
    assert (first.name, list(first.y)) == ("a", [50])
    np.testing.assert_allclose([first.error_y.array[0], first.error_y.arrayminus[0]], [20, 10])
    assert second.name == "b"
