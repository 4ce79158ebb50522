"""The Train page's weights to start from and teachers: what is offered, and what the run that starts says."""

import pytest

from dashboard import state
from fer import storage
from tests.evaluation.builders import tiny_dataset, tiny_run
from tests.pages.conftest import open_page


@pytest.fixture
def earlier(cache):
    """The data set of a finished run of baseline_cnn."""
    dataset = tiny_dataset("here", per_class=10, seed=2)
    folder = tiny_run(cache / "runs" / "baseline_cnn-mine", dataset, weights_seed=2)
    content = storage.read_json(folder / "config.json")
    storage.write_json(folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9})
    storage.write_json(folder / "status.json", {"state": "finished", "started": 1e9, "ended": 1e9 + 60})
    storage.write_json(folder / "labels.json", {"name": "mine"})
    return dataset


@pytest.fixture
def submitted(monkeypatch):
    """Runs that the page would hand to the queue; none starts."""
    runs = []
    monkeypatch.setattr("fer.runs.submit", runs.append)
    return runs


def widget(page, kind, label):
    return next(found for found in getattr(page, kind) if found.label == label)


def test_weights_and_teachers_reach_the_run(earlier, submitted):
    page = open_page("train", **{state.DATASET: earlier.name})
    assert not page.exception
    widget(page, "selectbox", "Start from the weights of").select("baseline_cnn-mine")
    widget(page, "multiselect", "Teachers").set_value(["baseline_cnn-mine"])
    page.run()
    widget(page, "slider", "Teachers' share of the label (%)").set_value(40)
    next(b for b in page.button if b.label == "Start training").click()
    page.run()
    assert not page.exception
    assert not page.error
    config = submitted[0].train_config()
    assert (config.initial, config.teachers, config.distillation) == (
        "baseline_cnn-mine", ("baseline_cnn-mine",), 0.4,
    )  # fmt: skip


def test_only_the_same_network_gives_its_weights(earlier):
    page = open_page("train", **{state.DATASET: earlier.name, state.RECIPE: "cnn4"})
    assert widget(page, "selectbox", "Start from the weights of").options == ["none: random weights"]
    assert widget(page, "multiselect", "Teachers").options == ["mine"]


def test_smote_takes_the_features_of_a_run_of_the_same_network(earlier, submitted):
    page = open_page("train", **{state.DATASET: earlier.name})
    widget(page, "selectbox", "SMOTE in the features of").select("baseline_cnn-mine").run()
    assert any("augmentation would have no effect" in error.value for error in page.error)
    widget(page, "selectbox", "Augmentation").select("none").run()
    assert not page.error
    next(b for b in page.button if b.label == "Start training").click()
    page.run()
    assert not page.exception
    assert submitted[0].train_config().smote == "baseline_cnn-mine"
    widget(page, "selectbox", "Start from the weights of").select("baseline_cnn-mine")
    next(b for b in page.button if b.label == "Start training").click()
    page.run()
    assert any("leave out" in error.value for error in page.error)
    assert len(submitted) == 1


def test_a_run_that_did_not_finish_gives_its_weights_but_no_features(earlier, cache):
    storage.write_json(cache / "runs" / "baseline_cnn-mine" / "status.json", {"state": "stopped"})
    page = open_page("train", **{state.DATASET: earlier.name})
    offered = {box.label: box.options for box in page.selectbox}
    assert offered["Start from the weights of"][1:] == ["mine"]
    assert offered["SMOTE in the features of"] == ["off"]


def test_another_network_gives_neither_weights_nor_features(earlier):
    page = open_page("train", **{state.DATASET: earlier.name})
    widget(page, "number_input", "Dropout").set_value(0.1).run()
    assert widget(page, "selectbox", "Start from the weights of").options == ["none: random weights"]
    assert widget(page, "selectbox", "SMOTE in the features of").options == ["off"]


def test_where_weights_come_from_without_a_run(earlier):
    page = open_page("train", **{state.DATASET: earlier.name, state.RECIPE: "resnet50"})
    assert widget(page, "selectbox", "Start from the weights of").options == ["none: ImageNet weights"]
    widget(page, "selectbox", "Initial weights").set_value("random").run()
    assert widget(page, "selectbox", "Start from the weights of").options == ["none: random weights"]
