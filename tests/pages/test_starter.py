"""The starter on the pages: listed first, chosen where it should be, judged on the data of the others."""

import json
from pathlib import Path

import pytest

from fer import storage
from fer.evaluation.predictions import evaluate_run
from fer.prediction.packaging import package_run
from tests.evaluation.builders import tiny_dataset, tiny_run
from tests.pages.conftest import open_page

LABEL = "starter (shipped)"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory, session_cache) -> Path:
    """An untrained network packaged from its own small data set, which no test's cache has."""
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(folder / "cache"))
        dataset = tiny_dataset("far away", per_class=60, seed=9, parts=True)
        run = tiny_run(folder / "run", dataset, seed=9)
        package_run(run, folder / "starter")
    return folder / "starter"


@pytest.fixture
def starter(packaged, cache, monkeypatch) -> Path:
    monkeypatch.setenv("FER_STARTER", str(packaged))
    return packaged


@pytest.fixture
def trained(cache) -> Path:
    """A run of this cache, evaluated on the test images of its own data."""
    dataset = tiny_dataset("here", per_class=10, seed=2)
    folder = tiny_run(cache / "runs" / "baseline_cnn-mine", dataset, weights_seed=2)
    content = json.loads((folder / "config.json").read_text())
    storage.write_json(folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9})
    storage.write_json(folder / "status.json", {"state": "finished", "started": 1e9, "ended": 1e9 + 60})
    storage.write_json(folder / "labels.json", {"name": "mine"})
    evaluate_run(folder, dataset, ("test",))
    return folder


def chosen(page, label):
    return next(widget for widget in page.multiselect if widget.label == label)


def test_the_starter_is_all_a_newcomer_needs(starter, demo_dataset):
    page = open_page("predict")
    assert not page.exception
    assert not page.error
    widget = chosen(page, "Models")
    assert widget.options == [LABEL]
    assert widget.value == ["starter"]
    for name in ("compare", "explain"):
        page = open_page(name)
        assert not page.exception, name
        assert chosen(page, "Runs").value == ["starter"]


def test_it_is_listed_first_and_predicts_at_first(starter, trained):
    widget = chosen(open_page("predict"), "Models")
    assert widget.options == [LABEL, "mine"]
    assert widget.value == ["starter"]
    assert chosen(open_page("compare"), "Runs").value == ["baseline_cnn-mine"]


def test_it_is_compared_with_a_run_on_that_runs_data(starter, trained):
    before = {path: path.stat().st_mtime_ns for path in starter.rglob("*")}
    page = open_page("compare", runs=[LABEL, "mine"])
    assert not page.exception
    assert any(button.label == "Evaluate in the background" for button in page.button)
    assert "starter" in page.info[0].value
    evaluate_run(starter, tiny_dataset("here", per_class=10, seed=2), ("test",))
    page = open_page("compare", runs=[LABEL, "mine"])
    assert not page.exception
    assert not [warning.value for warning in page.warning if "data set" in warning.value]
    rows = page.dataframe[0].value.set_index("measure")
    assert set(rows.columns) == {LABEL, "mine"}
    assert list(rows.loc["Images"]) == ["70", "70"]
    assert {path: path.stat().st_mtime_ns for path in starter.rglob("*")} == before


def test_it_is_explained_on_the_data_set_that_is_chosen(starter, trained):
    page = open_page("explain")
    page = chosen(page, "Runs").set_value(["starter"]).run()
    assert not page.exception
    assert not page.error


def test_home_says_what_the_starter_is_worth(starter, demo_dataset):
    page = open_page("home")
    assert not page.exception
    card = json.loads((starter / "model_card.json").read_text())
    accuracy = 100 * card["scores"]["PublicTest"]["accuracy"]
    assert any(f"starter is ready: {accuracy:.1f} % on PublicTest" in text.value for text in page.markdown)
