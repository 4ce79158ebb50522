"""The audit by subgroup: its test is statsmodels', and a mix of expressions is no finding."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from fer.analysis.attributes import Attribute
from fer.data.selection import mark, open_selection
from fer.evaluation import subgroups as audit
from fer.evaluation.comparison import compare
from fer.evaluation.report import run_report
from fer.evaluation.subgroups import by_subgroup, findings, stratified_test, subgroups
from fer.evaluation.trained import TrainedRun
from tests.evaluation.builders import tiny_dataset
from tests.evaluation.test_comparison import made, stored


def drawn(recalls, shares, images=4000, seed=0):
    """Labels, answers and codes: `recalls` (G, 7) of each group, `shares` (G, 7) of its expressions."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(recalls), images)
    labels = np.array([rng.choice(7, p=shares[code]) for code in codes])
    right = rng.random(images) < np.asarray(recalls)[codes, labels]
    return labels, np.where(right, labels, (labels + 1) % 7), codes


NOTHING = "Nothing can be tested: there is one group only, or the images or mistakes are too few."
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
    assert (theirs < 1e-5) == (worse > 0)


def test_an_easier_mix_of_expressions_is_predicted_and_no_finding():
    labels, predicted, codes = drawn([RECALLS, RECALLS], [EVEN, HAPPY], seed=1)
    plain, easy = by_subgroup(labels, predicted, codes, ("even", "mostly happy"))
    assert easy["accuracy"] - plain["accuracy"] > 0.15
    assert abs(easy["difference"]) < 0.03
    (said,) = findings([of("net", row) for row in (plain, easy)])
    assert said.startswith("No group differs")


def of(run, row, p_adjusted=None):
    return {"run": run, "name": run} | row | {"p_adjusted": row["p"] if p_adjusted is None else p_adjusted}


def test_a_group_that_is_harder_is_judged_against_the_others_and_told():
    recalls = [RECALLS, RECALLS - 0.15, RECALLS]
    labels, predicted, codes = drawn(recalls, [EVEN, HAPPY, EVEN], seed=2)
    rows = by_subgroup(labels, predicted, codes, ("a", "dark", "c", "nobody"))
    assert [row["group"] for row in rows] == ["a", "dark", "c"]
    dark = rows[1]
    inside, right = codes == 1, predicted == labels
    assert dark["images"] == dark["judged"] == inside.sum()
    assert dark["accuracy"] == dark["accuracy_judged"] == pytest.approx(right[inside].mean())
    recall = [right[(labels == n) & ~inside].mean() for n in range(7)]
    assert dark["expected"] == pytest.approx(np.mean([recall[label] for label in labels[inside]]))
    assert dark["difference"] == pytest.approx(dark["accuracy"] - dark["expected"])
    assert dark["difference"] == pytest.approx(-0.15, abs=0.03)
    theirs = proportion_confint(right[inside].sum(), inside.sum(), method="wilson")
    assert dark["interval"] == pytest.approx(list(theirs))
    fear = inside & (labels == 2)
    assert dark["recall"]["fear"] == pytest.approx(right[fear].mean())
    assert dark["support"]["fear"] == fear.sum()
    (first, *_) = findings([of("net", row) for row in rows])
    less = -100 * dark["difference"]
    assert first == (
        f"net on dark: {100 * dark['accuracy']:.1f} % of {dark['images']:,} images right, {less:.1f} points "
        "less than the other groups predict for its expressions (p < 0.001)."
    )


def test_of_two_groups_only_the_worse_is_told():
    labels, predicted, codes = drawn([RECALLS, RECALLS - 0.15], [EVEN, EVEN], seed=2)
    rows = [of("net", row) for row in by_subgroup(labels, predicted, codes, ("a", "dark"))]
    assert all(row["p"] < 0.001 for row in rows)
    (said,) = findings(rows)
    assert said.startswith("net on dark: ")


def of_counts(*groups):
    """(labels, predicted, codes) of groups given as `{expression: (right, images)}`."""
    labels, predicted, codes = [], [], []
    for code, group in enumerate(groups):
        for label, (right, images) in group.items():
            labels += [label] * images
            predicted += [label] * right + [0] * (images - right)
            codes += [code] * images
    return np.array(labels), np.array(predicted), np.array(codes)


def test_two_groups_above_what_the_other_predicts_are_no_clean_bill():
    """The test and the difference weigh the expressions otherwise, so both groups can be above."""
    happy, sad = 3, 5
    counts = ({happy: (900, 1000), sad: (100, 200)}, {happy: (140, 200), sad: (550, 1000)})
    rows = [of("net", row) for row in by_subgroup(*of_counts(*counts), ("a", "b"))]
    assert [round(row["difference"], 3) for row in rows] == [0.158, 0.008]
    assert rows[0]["excess"] == pytest.approx(-rows[1]["excess"]) == pytest.approx(25)
    assert rows[0]["p"] == rows[1]["p"] == pytest.approx(0.0013, abs=0.0001)
    assert findings(rows) == [
        "net on b: 57.5 % of 1,200 images right; expression by expression less often right than the other "
        "groups (p 0.001), which its mix of expressions hides."
    ]


def test_a_network_without_mistakes_cannot_be_tested():
    labels = np.arange(7000) % 7
    rows = by_subgroup(labels, labels, np.arange(7000) // 3500, ("a", "b"))
    assert [row["p"] for row in rows] == [None, None]
    assert findings([of("net", row) for row in rows]) == [NOTHING]
    assert findings([]) == ["None of these images is in a group."]


def test_what_cannot_be_tested_is_no_clean_bill():
    labels, codes = np.arange(40) % 7, np.zeros(40, int)
    alone = by_subgroup(labels, labels, codes, ("all",))
    assert findings([of("net", row) for row in alone]) == [NOTHING]
    labels, predicted, codes = drawn([RECALLS, RECALLS, RECALLS], [EVEN, EVEN, EVEN], seed=4)
    codes[codes == 2] = 1
    codes[:4] = 2
    rows = [of("net", row) for row in by_subgroup(labels, predicted, codes, ("a", "b", "four"))]
    assert findings(rows)[-1] == "Too few images or mistakes to test: four."


def test_images_in_no_group_and_classes_that_are_missing_are_left_out():
    labels = np.array([3, 3, 3, 3, 5, 5])
    predicted = np.array([3, 3, 3, 0, 5, 0])
    (row,) = by_subgroup(labels, predicted, np.array([0, 0, -1, 0, -1, -1]), ("a",))
    assert (row["images"], row["accuracy"]) == (3, pytest.approx(2 / 3))
    assert row["expected"] == pytest.approx(2 / 3)  # no other group: its own recall
    assert row["recall"]["happy"] == pytest.approx(2 / 3)
    assert row["recall"]["sad"] is None
    assert row["p"] is None


def test_all_right_is_not_certain():
    (row,) = by_subgroup(np.array([3, 3]), np.array([3, 3]), np.zeros(2, int), ("a",))
    assert row["accuracy"] == 1
    assert row["interval"] == pytest.approx([0.342, 1.0], abs=0.001)


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


def test_leaked_images_count_in_the_first_figure_only():
    """Group b is as hard as a, but the network has learnt half of it by heart."""
    labels, predicted, codes = drawn([RECALLS, RECALLS], [EVEN, EVEN], seed=5)
    leaked = (codes == 1) & (np.arange(len(codes)) % 2 == 0)
    predicted = np.where(leaked, labels, predicted)
    blind = by_subgroup(labels, predicted, codes, ("a", "b"))
    seeing = by_subgroup(labels, predicted, codes, ("a", "b"), leaked)
    assert [row["accuracy"] for row in seeing] == [row["accuracy"] for row in blind]
    assert blind[1]["p"] < 1e-6
    assert seeing[1]["p"] > 0.01
    assert seeing[1]["judged"] == ((codes == 1) & ~leaked).sum() < seeing[1]["images"]
    assert seeing[1]["accuracy_judged"] == pytest.approx((predicted == labels)[(codes == 1) & ~leaked].mean())
    assert {row["basis"] for row in seeing} == {audit.NOT_LEAKED}
    everything = by_subgroup(labels, predicted, codes, ("a", "b"), np.ones(len(codes), bool))
    assert {row["basis"] for row in everything} == {audit.EVERY_ONE}  # a run on the images it learnt
    assert {row["basis"] for row in blind} == {audit.UNKNOWN_LEAKS}
    assert [row["p"] for row in everything] == [row["p"] for row in blind]
    only = by_subgroup(labels, predicted, codes, ("a", "b"), codes == 1)
    assert (only[1]["judged"], only[1]["accuracy_judged"], only[1]["p"]) == (0, None, None)
    assert findings([of("net", row) for row in only]) == [NOTHING]


def test_all_tests_of_all_runs_are_corrected_together(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 84)
    right = rng.random((2, 84)) < np.where(codes == 1, 0.3, 0.9)
    both = made(tmp_path, right)
    rows = subgroups(both, Attribute("light", ("a", "b", "c"), codes.astype(np.int16)))
    assert [(row["name"], row["group"]) for row in rows] == [(n, g) for n in "ab" for g in "abc"]
    p_values = [row["p"] for row in rows]
    adjusted = [row["p_adjusted"] for row in rows]
    assert adjusted == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    alone = [p for each in (p_values[:3], p_values[3:]) for p in multipletests(each, method="holm")[1]]
    assert adjusted != pytest.approx(alone)
    assert min(adjusted) < 0.05


@pytest.mark.parametrize("third", [False, True])
def test_two_groups_are_one_test(tmp_path, monkeypatch, third):
    """Also where a third group has no image that the run did not know."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 2, 84).astype(np.int16)
    both = made(tmp_path, rng.random((2, 84)) < np.where(codes == 1, 0.2, 0.9))
    codes[:9] = 2 if third else -1
    if third:
        monkeypatch.setattr(TrainedRun, "leaked", lambda *about: codes == 2)
    rows = subgroups(both, Attribute("light", ("a", "b", "copies"), codes))
    tested = [row for row in rows if row["p"] is not None]
    assert [row["group"] for row in tested] == ["a", "b"] * 2
    assert len(rows) == (6 if third else 4)
    adjusted = multipletests([tested[0]["p"], tested[2]["p"]], method="holm")[1]
    assert [row["p_adjusted"] for row in tested] == pytest.approx(list(np.repeat(adjusted, 2)))
    said = [text for text in findings(rows) if " right" in text]
    assert sorted(text[:7] for text in said) == ["a on b:", "b on b:"]


def test_a_run_is_judged_by_the_labels_its_selection_gave_its_own_images(tmp_path):
    dataset = tiny_dataset(per_class=20)
    mark(dataset, "repaired", dataset.indices("train")[:40], "relabel", "happy")
    run = stored(tmp_path / "run", dataset, 0, selection="repaired@1")
    np.save(run / "labels.npy", open_selection(dataset, "repaired@1").labels(dataset))
    found = compare([run], split="validation")
    rows = subgroups(found, Attribute("all", ("all",), np.zeros(len(dataset), np.int16)))
    report = run_report(run, split="validation")
    assert rows[0]["accuracy"] == pytest.approx(report["accuracy"])
    assert rows[0]["recall"]["happy"] == pytest.approx(report["per_class"]["happy"]["recall"])
    assert found.correct[0].mean() != pytest.approx(report["accuracy"])
