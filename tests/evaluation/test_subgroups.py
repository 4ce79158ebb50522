"""The audit by subgroup: its test is statsmodels', and a mix of expressions is no finding."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from fer.analysis.attributes import Attribute
from fer.evaluation.subgroups import by_subgroup, findings, stratified_test, subgroups
from tests.evaluation.test_comparison import made


def drawn(recalls, shares, images=4000, seed=0):
    """Labels, answers and codes: `recalls` (G, 7) of each group, `shares` (G, 7) of its expressions."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(recalls), images)
    labels = np.array([rng.choice(7, p=shares[code]) for code in codes])
    right = rng.random(images) < np.asarray(recalls)[codes, labels]
    return labels, np.where(right, labels, (labels + 1) % 7), codes


EVEN = np.full(7, 1 / 7)
HAPPY = np.array([0.05, 0.05, 0.05, 0.7, 0.05, 0.05, 0.05])
RECALLS = np.array([0.5, 0.4, 0.4, 0.9, 0.6, 0.5, 0.8])


@pytest.mark.parametrize("worse", [0.0, 0.1])
def test_p_is_that_of_cochran_mantel_haenszel_in_statsmodels(worse):
    labels, predicted, codes = drawn([RECALLS, RECALLS - worse], [EVEN, HAPPY], seed=3)
    rows = by_subgroup(labels, predicted, codes, ("a", "b"))
    right = predicted == labels
    tables = [
        [[(right & (codes == group) & (labels == n)).sum(), (~right & (codes == group) & (labels == n)).sum()]
         for group in (0, 1)]
        for n in range(7)
    ]  # fmt: skip
    theirs = StratifiedTable([np.array(table) for table in tables]).test_null_odds(correction=False).pvalue
    assert [row["p"] for row in rows] == pytest.approx([theirs, theirs])
    assert [row["p_adjusted"] for row in rows] == pytest.approx([theirs, theirs])  # one test, not two
    assert (theirs < 1e-5) == (worse > 0)


def test_an_easier_mix_of_expressions_is_predicted_and_no_finding():
    labels, predicted, codes = drawn([RECALLS, RECALLS], [EVEN, HAPPY], seed=1)
    plain, easy = by_subgroup(labels, predicted, codes, ("even", "mostly happy"))
    assert easy["accuracy"] - plain["accuracy"] > 0.15
    assert abs(easy["difference"]) < 0.02
    assert findings([row | {"name": "net"} for row in (plain, easy)]) == []


def test_a_group_that_is_harder_is_found_and_told():
    recalls = [RECALLS, RECALLS - 0.15, RECALLS]
    labels, predicted, codes = drawn(recalls, [EVEN, HAPPY, EVEN], seed=2)
    rows = by_subgroup(labels, predicted, codes, ("a", "dark", "c", "nobody"))
    assert [row["group"] for row in rows] == ["a", "dark", "c"]
    dark = rows[1]
    inside = codes == 1
    assert dark["images"] == inside.sum()
    assert dark["accuracy"] == pytest.approx((predicted == labels)[inside].mean())
    recall = [(predicted == labels)[labels == n].mean() for n in range(7)]
    assert dark["expected"] == pytest.approx(np.mean([recall[label] for label in labels[inside]]))
    assert dark["difference"] == pytest.approx(dark["accuracy"] - dark["expected"])
    assert dark["interval"][0] < dark["accuracy"] < dark["interval"][1]
    adjusted = multipletests([row["p"] for row in rows], method="holm")[1]
    assert [row["p_adjusted"] for row in rows] == pytest.approx(list(adjusted))
    fear = inside & (labels == 2)
    assert dark["recall"]["fear"] == pytest.approx((predicted == labels)[fear].mean())
    assert dark["support"]["fear"] == fear.sum()
    (first, *_) = findings([row | {"name": "net"} for row in rows])
    less = -100 * dark["difference"]
    assert first == (
        f"net on dark: {100 * dark['accuracy']:.1f} % of {dark['images']:,} images right, {less:.1f} points "
        "less than its expressions predict (p < 0.001)."
    )


def test_images_in_no_group_and_classes_that_are_missing_are_left_out():
    labels = np.array([3, 3, 3, 3, 5, 5])
    predicted = np.array([3, 3, 3, 0, 5, 0])
    (row,) = by_subgroup(labels, predicted, np.array([0, 0, -1, 0, -1, -1]), ("a",))
    assert (row["images"], row["accuracy"], row["expected"]) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert row["recall"]["happy"] == pytest.approx(2 / 3)
    assert row["recall"]["sad"] is None
    assert (row["p"], row["p_adjusted"]) == (None, None)


def test_few_images_are_not_tested():
    hits, count = np.array([3, 0]), np.array([4, 1])
    assert stratified_test(hits, count, np.array([50, 20]), np.array([100, 60])) is None
    assert stratified_test(hits * 10, count * 10, np.array([50, 20]), np.array([100, 60])) < 0.05


def test_the_false_alarm_rate_is_the_level():
    """Groups drawn at random: 5 % of the tests below 0.05, within three standard errors of 400 tests."""
    alarms = 0
    for seed in range(400):
        labels, predicted, codes = drawn([RECALLS, RECALLS], [EVEN, HAPPY], 300, seed)
        alarms += by_subgroup(labels, predicted, codes, ("a", "b"))[0]["p"] < 0.05
    assert 7 <= alarms <= 33


def test_leaked_images_are_taken_out_of_the_second_figure():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    leaked = np.array([True, True, False, True])
    a, b = by_subgroup(labels, predicted, np.array([0, 0, 1, 1]), ("a", "b"), leaked)
    assert (a["accuracy"], a["accuracy_without_leaks"]) == (1, None)
    assert (b["accuracy"], b["accuracy_without_leaks"]) == (0.5, 0)


def test_every_run_of_a_comparison_has_its_rows(tmp_path):
    both = made(tmp_path, [[1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]])
    codes = np.zeros(len(both.dataset), np.int16)
    codes[1::2] = 1
    rows = subgroups(both, Attribute("parity", ("even", "odd"), codes))
    assert [(row["name"], row["group"]) for row in rows] == [
        (run.name, group) for run in both.runs for group in ("even", "odd")
    ]
    assert [row["accuracy"] for row in rows] == pytest.approx([2 / 3, 2 / 3, 0, 1 / 3])
    assert rows[0]["accuracy_without_leaks"] is None  # these runs do not say what they saw
