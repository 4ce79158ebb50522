"""The Compare page with three made-up runs: other data, marks, outlier errors, background evaluations."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dashboard import jobs, mistakes
from fer import runs as library
from fer import storage
from fer.analysis import outliers
from fer.analysis.attributes import imported_attributes, open_attribute
from fer.evaluation.comparison import compare as compare_runs
from fer.evaluation.predictions import Predictions, predictions_path, store_predictions
from fer.evaluation.subgroups import subgroups
from fer.evaluation.trained import trained_run
from tests.evaluation.builders import tiny_dataset, write_facts
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label

NAMES = ("first", "second", "third")


@pytest.fixture
def dataset(cache):
    return tiny_dataset("tiny", per_class=20)


@pytest.fixture
def folders(dataset, cache: Path) -> list[Path]:
    """Run folders with predictions for test and validation; the networks are empty archives."""
    made = []
    for seed, name in enumerate(NAMES):
        folder = write_facts(cache / "runs" / f"baseline_cnn-{name}", dataset, seed=seed)
        content = json.loads((folder / "config.json").read_text())
        storage.write_json(folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9})
        storage.write_json(folder / "status.json", {"state": "finished", "started": 1e9, "ended": 1e9 + 60})
        storage.write_json(folder / "labels.json", {"name": name})
        with zipfile.ZipFile(folder / "best.keras", "w") as archive:
            archive.writestr("weights", bytes([seed]))
        predict(folder, dataset, seed)
        made.append(folder)
    return made


def predict(folder: Path, dataset, seed: int) -> None:
    """Store answers that are right about half of the time."""
    run = trained_run(folder)
    own = dataset.fingerprint == run.fingerprint
    indices = np.sort(np.concatenate([run.splits["test"], run.splits["validation"]]))
    indices = indices if own else dataset.indices("test")
    logits = np.random.default_rng(seed).normal(size=(len(indices), 7))
    logits += 2 * np.eye(7)[dataset.labels[indices]]
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = Predictions(indices, answers.astype(np.float32), dataset.splits[indices], run.stamp, 0.001, 1.0)
    store_predictions(predictions_path(run, dataset.fingerprint), found)


def compare(**query):
    return open_page("compare", runs=list(NAMES), **query)


def test_runs_are_judged_on_another_data_set_once_they_are_evaluated_there(dataset, folders):
    other = tiny_dataset("other", per_class=9, seed=5)
    page = compare(on="other")
    assert not page.exception
    offers = [button for button in page.button if button.label == "Evaluate in the background"]
    assert len(offers) == 3
    for seed, folder in enumerate(folders):
        predict(folder, other, seed)
    page = compare(on="other")
    rows = page.dataframe[0].value.set_index("measure")
    assert list(rows.loc["Images"]) == [str(len(other.indices("test")))] * 3
    own = compare().dataframe[0].value.set_index("measure")
    assert list(own.loc["Images"]) == [str(len(dataset.indices("test")))] * 3


def test_what_marks_do_is_said_where_they_are_made(folders):
    captions = [caption.value for caption in compare(view="Errors").caption]
    assert mistakes.TEST_STAYS in captions
    assert mistakes.OWN_MARKS not in captions
    captions = [caption.value for caption in compare(view="Errors", scored="validation").caption]
    assert mistakes.OWN_MARKS in captions
    assert mistakes.TEST_STAYS not in captions


def test_accuracy_against_the_outlier_error(dataset, folders):
    page = compare(view="Errors")
    by_label(page.button_group, "Measure").set_value("outlier error").run()
    assert any("No outlier detector" in info.value for info in page.info)
    assert any(button.label == "Fit the detectors" for button in page.button)
    errors = np.arange(len(dataset), dtype=np.float32)
    outliers.save_scores(dataset, outliers.Scores("pca", errors, {}))
    page = compare(view="Errors")
    by_label(page.button_group, "Measure").set_value("outlier error").run()
    assert not page.exception
    (chart,) = page.get("plotly_chart")
    drawn = json.loads(chart.proto.spec)["data"]
    assert [line["name"] for line in drawn] == list(NAMES)


def test_subgroups_of_a_table_are_audited_linked_and_removed(dataset, folders):
    page = compare(view="Subgroups", by="nothing like this")
    assert not page.exception
    assert page.selectbox(key="by").options == ["brightness", "contrast", "sharpness", "noise"]
    assert page.selectbox(key="by").value == "brightness"
    found = compare_runs(folders)
    right = found.correct[0]  # of the first run, so there is something to find
    rows = zip(found.indices[:120], right[:120], strict=True)
    upload(
        page,
        "image,lighting\n" + "".join(f"{dataset.names[n]},{'bright' if r else 'dark'}\n" for n, r in rows),
    )
    assert not page.exception
    assert page.selectbox(key="by").value == "lighting"
    page = compare(view="Subgroups", by="lighting")  # as a shared link
    assert any("20 of 140 images are in no group" in caption.value for caption in page.caption)
    table, recalls = (frame.value for frame in page.dataframe)
    expected = subgroups(found, open_attribute(dataset, "lighting"))
    assert list(table["group"]) == ["bright", "dark"] * 3
    assert list(table["images"]) == [right[:120].sum(), 120 - right[:120].sum()] * 3
    for column, key in (("accuracy (%)", "accuracy"), ("predicted (%)", "expected")):
        assert list(table[column]) == [round(100 * row[key], 2) for row in expected]
    assert list(recalls["fear"]) == [100.0, 0.0]
    assert any(text.value.startswith("- first on dark\\: 0.0 % of") for text in page.markdown)
    (chart,) = page.get("plotly_chart")
    drawn = json.loads(chart.proto.spec)["data"]
    assert [line["name"] for line in drawn] == [n for name in NAMES for n in (name, f"{name}, predicted")]
    by_label(page.button, "Remove").click().run()
    assert not page.exception
    assert imported_attributes(dataset) == []
    assert page.selectbox(key="by").value == "brightness"


def upload(page, text: str) -> None:
    """Give the view a table of groups and add it."""
    page.get("file_uploader")[0].set_value(("own.csv", text.encode(), "text/csv")).run()
    by_label(page.button, "Add its groups").click().run()


def test_a_table_with_a_mistake_is_one_message(dataset, folders):
    page = compare(view="Subgroups")
    upload(page, "picture,a\nx,y\n")
    (said,) = page.error
    assert "lacks the column image; expected image and one for each attribute" in said.value
    assert imported_attributes(dataset) == []


def test_three_runs_have_three_matrices_and_a_difference_of_any_two(folders):
    page = compare(view="Confusion")
    assert not page.exception
    assert len(page.get("plotly_chart")) == 4
    by_label(page.selectbox, "Minus").set_value(2).run()
    assert any("first minus third" in caption.value for caption in page.caption)


def test_a_clicked_cell_is_the_one_that_is_shown(monkeypatch):
    chosen: dict[str, object] = {}
    monkeypatch.setattr(mistakes.st, "session_state", chosen)
    mistakes.choose_cell("b", [{"customdata": ["sad", "fear", 3.0, 12.5]}])
    assert mistakes.shown_cell(["a", "b"]) == ("b", "sad", "fear")
    mistakes.choose_cell("a", [])  # a click on the chosen cell takes the choice back in the browser
    assert mistakes.shown_cell(["a", "b"]) == ("b", "sad", "fear")
    assert mistakes.shown_cell(["c"])[0] == "c", "the run is not among the chosen any more"


def test_two_runs_are_evaluated_on_one_data_set_but_none_twice(dataset, folders, monkeypatch):
    monkeypatch.setattr("fer.runs.lifecycle.ensure_dispatcher", lambda: False)
    for folder in (*folders[:2], folders[0]):
        config = {"dataset": dataset.fingerprint, "run": folder.name, "split": "train"}
        jobs.start("evaluate", config)
    queued = [run.config["run"] for run in library.list_runs() if run.kind == "evaluate"]
    assert sorted(queued) == sorted(folder.name for folder in folders[:2])


def test_a_renamed_run_has_its_new_name_in_the_verdicts(folders):
    assert any("first" in text.value for text in compare().markdown if "distinguish" in text.value)
    library.rename(folders[0].name, "another")
    page = open_page("compare", runs=["another", "second", "third"])
    verdicts = [text.value for text in page.markdown if "distinguish" in text.value or "better" in text.value]
    assert any("another" in verdict for verdict in verdicts)
    assert not any("first" in verdict for verdict in verdicts)


def test_a_run_deleted_while_it_is_compared_leaves_the_others(folders):
    page = compare(view="Confusion")
    assert len(page.get("plotly_chart")) == 4
    library.remove(folders[0].name)
    page.run()
    assert not page.exception
    assert not page.error
    assert len(page.get("plotly_chart")) == 3
    library.restore(folders[0].name)
    assert len(compare(view="Confusion").get("plotly_chart")) == 4


@pytest.mark.parametrize("view", ["Errors", "Subgroups", "Calibration", "Confusion"])
def test_runs_that_share_no_image_are_one_message(view, dataset, folders):
    other = tiny_dataset("other", per_class=9, seed=5)
    folder = folders[2]
    write_facts(folder, other, seed=2)
    content = json.loads((folder / "config.json").read_text())
    storage.write_json(folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9})
    predict(folder, other, 2)
    page = compare(view=view)
    assert not page.exception
    assert any("2 different data sets" in error.value for error in page.error)


def test_the_ensemble_is_that_of_the_ticked_runs(folders):
    from fer.evaluation.comparison import compare as aligned
    from fer.evaluation.ensemble import ensemble_reports

    page = compare(view="Ensemble")
    for members, count in ((folders, 3), (folders[:2], 2)):
        expected = ensemble_reports(aligned(members))
        table = page.dataframe[0].value.set_index("model")
        assert table.loc[f"average of {count}", "accuracy"] == pytest.approx(
            100 * expected["average"]["accuracy"]
        )
        assert len(table) == count + (2 if count == 3 else 3), "the average, the weighted one, every run"
        by_label(page.button_group, "Members").set_value(list(NAMES[:2])).run()
        assert not page.exception
