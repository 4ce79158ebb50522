"""What a user does on the pages, and what must have happened on disk and on screen afterwards."""

import numpy as np
import pytest
import streamlit as st

from fer.analysis import outliers
from fer.augmentation import list_presets
from fer.data.selection import open_selection
from fer.emotions import EMOTIONS
from fer.runs import create_run, list_runs
from fer.training.config import TrainConfig
from tests.pages.conftest import open_page


def by_label(widgets, label):
    """The one widget whose label starts with the text."""
    (found,) = [widget for widget in widgets if widget.label.startswith(label)]
    return found


@pytest.fixture
def submitted(monkeypatch):
    """Runs that a page handed to the queue, which does not start them here."""
    runs = []
    monkeypatch.setattr("fer.runs.submit", lambda run, *rest: runs.append(run))
    return runs


def test_explore_shows_the_counts_of_the_data_set(demo_dataset):
    page = open_page("explore")
    shown = {metric.label: metric.value for metric in page.metric}
    counts = demo_dataset.counts()
    assert shown["Images"] == f"{len(demo_dataset):,}"
    assert shown["Train"] == f"{sum(counts['train'].values()):,}"
    assert shown["Missing pixels"] == "0"


def test_start_queues_exactly_what_the_form_shows(demo_dataset, submitted):
    page = open_page("train")
    by_label(page.number_input, "Epochs").set_value(3)
    by_label(page.number_input, "Batch size").set_value(16)
    by_label(page.number_input, "Random seed").set_value(7)
    by_label(page.selectbox, "Class weights").set_value("balanced")
    by_label(page.selectbox, "Augmentation").set_value("C")
    by_label(page.text_input, "Run name").set_value("from the page")
    by_label(page.button, "Start training").click()
    page.run()
    assert not page.exception
    assert not page.error
    (run,) = submitted
    config: TrainConfig = run.train_config()
    assert run.name == "from the page"
    assert (config.epochs, config.batch_size, config.seed) == (3, 16, 7)
    assert config.class_weights == "balanced"
    assert config.augmentation == list_presets()["C"]
    assert config.dataset == demo_dataset.fingerprint


def test_split_and_classes_are_chosen_on_the_page(demo_dataset, submitted):
    page = open_page("train")
    by_label(page.selectbox, "Split").set_value("kfold").run()
    by_label(page.number_input, "Fold that").set_value(2)
    by_label(page.number_input, "Training images").set_value(30)
    by_label(page.multiselect, "Classes").set_value([e for e in EMOTIONS if e != "disgust"])
    by_label(page.button, "Start training").click()
    page.run()
    assert not page.error
    config = submitted[0].train_config()
    assert (config.split.scheme, config.split.fold, config.split.per_class) == ("kfold", 2, 30)
    assert config.classes == tuple(e for e in EMOTIONS if e != "disgust")


def test_a_class_is_grown_on_the_page(demo_dataset, submitted):
    page = open_page("train")
    by_label(page.multiselect, "Grow classes").set_value(["disgust"])
    by_label(page.number_input, "to this many").set_value(3520)
    by_label(page.toggle, "Copies of a face").set_value(False)
    by_label(page.selectbox, "Augmentation").set_value("none")
    by_label(page.button, "Start training").click()
    page.run()
    assert not page.error
    assert any("not varied" in warning.value for warning in page.warning)
    config = submitted[0].train_config()
    assert config.oversample == {"disgust": 3520}
    assert config.split.group_duplicates is False


def test_the_page_shows_a_queued_run_and_stop_cancels_it(demo_dataset, monkeypatch):
    from fer.recipes import recipe_config

    for place in ("fer.runs.lifecycle", "fer.runs", "dashboard.live"):
        monkeypatch.setattr(f"{place}.ensure_dispatcher", lambda: False)
    run = create_run(recipe_config("baseline_cnn", demo_dataset.fingerprint), recipe="baseline_cnn")
    page = open_page("train")
    by_label(page.button, "Start training").click()  # a second run, in the queue behind nothing
    page.run()
    waiting = next(r for r in list_runs() if r.id != run.id)
    assert waiting.status().state == "queued"
    by_label(page.button, "Stop").click()
    page.run()
    assert waiting.status().state == "stopped"


def test_a_preset_saved_on_augment_is_offered_on_train(demo_dataset):
    page = open_page("augment")
    by_label(page.slider, "Rotation").set_value(5.0)
    page.run()
    by_label(page.text_input, "Save as a preset").set_value("gentle")
    by_label(page.button, "Save").click()
    page.run()
    assert not page.exception
    assert list_presets()["gentle"].rotation == 5
    assert "gentle" in [
        str(o) for o in by_label(open_page("train").selectbox, "Augmentation").options
    ] or any(
        "gentle" in str(option) for option in by_label(open_page("train").selectbox, "Augmentation").options
    )


@pytest.fixture
def scored(demo_dataset):
    """Made-up autoencoder scores: the error of an image is its index."""
    errors = np.arange(len(demo_dataset), dtype=np.float32)
    outliers.save_scores(demo_dataset, outliers.Scores("pca", errors, {"seconds": 1.0}))
    return errors


def test_the_percentile_flags_its_share_and_drop_all_marks_exactly_those(demo_dataset, scored):
    page = open_page("outliers")
    assert not page.exception
    train = demo_dataset.indices("train")
    expected = train[scored[train] > np.percentile(scored[train], 98)]
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Flagged"] == f"{len(expected):,}"
    by_label(page.button, "Drop all").click()
    page.run()
    assert not page.exception
    selection = open_selection(demo_dataset, "cleaned")
    np.testing.assert_array_equal(selection.dropped, expected)
    by_label(page.button, "Undo all").click()
    page.run()
    assert len(open_selection(demo_dataset, "cleaned").dropped) == 0


def test_outliers_are_sorted_and_shown_beside_the_kept_ones(demo_dataset, scored):
    train = demo_dataset.indices("train")
    page = open_page("outliers")
    by_label(page.selectbox, "Sorted by").set_value("lowest error first").run()
    assert not page.exception
    expected = np.sort(scored[train[scored[train] > np.percentile(scored[train], 98)]])
    grids = [str(element.proto) for element in page.get("html")]
    assert sum(f"{expected[0]:.4f}" in grid for grid in grids) == 1
    assert not any(f"{expected[-1]:.4f}" in grid for grid in grids)
    by_label(page.button_group, "Show").set_value("Both").run()
    assert not page.exception
    captions = [caption.value for caption in page.caption]
    assert any(c.startswith(f"Flagged: {len(expected):,} images, 12") for c in captions), captions
    assert any(c.startswith(f"Kept: {len(train) - len(expected):,} images, 12") for c in captions), captions


def test_marks_survive_other_pages_and_another_tab(demo_dataset, scored):
    page = open_page("outliers")
    by_label(page.button_group, "Tick faces").set_value([1, 3]).run()
    by_label(page.text_input, "Reason").set_value("a drawing").run()
    by_label(page.button, "Drop ticked").click().run()
    other = open_page("outliers")  # a second tab, while the first goes elsewhere and back
    by_label(other.button_group, "Tick faces").set_value([2]).run()
    by_label(other.button, "Keep ticked").click().run()
    page.switch_page("../pages/explore.py").run()
    page.switch_page("../pages/outliers.py").run()
    train = demo_dataset.indices("train")
    first = train[np.argsort(-scored[train])][:3]
    decided = open_selection(demo_dataset, "cleaned").decisions
    assert [decided[int(i)].action for i in first] == ["drop", "keep", "drop"]
    assert decided[int(first[0])].reason == "a drawing"
    shown = "".join(str(element.proto) for element in page.get("html"))
    assert shown.count("dropped</figcaption>") == 2
    assert shown.count("kept</figcaption>") == 1


def test_a_group_of_copies_is_marked_as_one(demo_dataset):
    from fer.data.audit import exact_groups

    group = next(group for group in exact_groups(demo_dataset) if group.conflicts)
    page = open_page("data", part="Audit")
    assert not page.exception
    for button in (b for b in page.button if b.key == f"Keep the first alone-Conflicting-{group.number}"):
        button.click()
    page.run()
    assert not page.exception
    assert list(open_selection(demo_dataset, "cleaned").dropped) == sorted(group.members[1:])


def test_all_faces_of_a_split_in_pages(demo_dataset):
    page = open_page("explore", look="Samples", samples="All in pages")
    assert not page.exception
    count = len(demo_dataset.indices("train"))
    assert any(c.value == f"{count:,} images, 100 on this page" for c in page.caption)
    (grid,) = [str(element.proto) for element in page.get("html")]
    assert grid.count("<figure") == 100
    assert grid.count("background-image") == 1


def test_compare_shows_the_numbers_of_the_report(cache_with_run, trained_run):
    from fer.evaluation.report import run_report

    report = run_report(trained_run, compute=False)
    page = open_page("compare")
    assert not page.exception
    table = page.dataframe[0].value
    row = table.set_index("measure").loc["Accuracy (%)"].iloc[0]
    assert row.startswith(f"{100 * report['accuracy']:.2f} [")
    leaks = table.set_index("measure").loc["of them leaked from training"].iloc[0]
    assert leaks == f"{report['leaked']:,}"


@pytest.mark.parametrize(
    "view",
    [
        "Per class",
        "Confusion",
        "Errors",
        "Subgroups",
        "Calibration",
        "Curves",
        "Ensemble",
        "Clusters",
        "Other data",
        "Report",
    ],
)
def test_every_view_of_compare_runs(view, cache_with_run):
    page = open_page("compare", view=view)
    assert not page.exception
    assert not page.error


@pytest.mark.parametrize("view", ["Averages", "Layers", "Ideals", "Own face"])
def test_every_view_of_explain_runs(view, cache_with_run):
    page = open_page("explain", show=view)
    assert not page.exception
    assert not page.error


def test_the_audit_counts_and_one_click_drops_the_leaked_images(demo_dataset):
    from fer.data.audit import audit

    found = audit(demo_dataset)
    page = open_page("data", part="Audit")
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Leaked test"] == f"{found['leaked_test_images']:,}"
    assert shown["Conflicting"] == f"{found['conflicting_groups']:,}"
    by_label(page.button, "Drop leaked").click()
    page.run()
    assert not page.exception
    dropped = open_selection(demo_dataset, "cleaned").dropped
    assert len(dropped) > 0
    assert not np.isin(dropped, demo_dataset.indices("test")).any()


def test_a_hostile_address_changes_nothing(cache_with_run):
    for name in ("compare", "runs", "explain", "explore"):
        query = {"run": "../../etc", "runs": "../x", "dataset": "<img onerror=alert(1)>", "class": "x" * 300}
        page = open_page(name, **query)
        assert not page.exception, name
        assert not any("onerror" in markdown.value for markdown in page.markdown)


def test_every_class_has_a_face_on_the_home_page(demo_dataset):
    page = open_page("home")
    html = "".join(str(element.proto) for element in page.get("html"))
    assert all(emotion in html for emotion in EMOTIONS)


def test_a_link_opens_what_it_names(cache_with_run, trained_run):
    page = open_page("runs", run="two epochs")
    assert by_label(page.selectbox, "Open a run").value == trained_run.name
    page = open_page("train", recipe="cnn4")
    assert by_label(page.selectbox, "Recipe").value == "cnn4"
    page = open_page("compare", runs="two epochs", view="Curves")
    assert page.multiselect[0].value == [trained_run.name]
    assert page.slider[0].label == "Smoothing"


def test_no_field_of_the_import_form_opens_a_path_on_a_shared_server(demo_dataset, monkeypatch):
    """Paths are for whoever sits at the computer; here the server listens on another address."""
    asked = []
    known = st.get_option
    monkeypatch.setattr(
        "streamlit.get_option", lambda key: "0.0.0.0" if key == "server.address" else known(key)
    )
    monkeypatch.setattr("dashboard.data_page._import", lambda source, name: asked.append(source))
    page = open_page("data", part="Import")
    assert not page.exception
    assert any("cannot be opened" in info.value for info in page.info)
    assert [field.label for field in page.text_input] == ["Name"]
    by_label(page.button_group, "From").set_value("Kaggle").run()
    by_label(page.text_input, "Kaggle data set").set_value("/etc").run()
    by_label(page.button, "Import").click().run()
    assert asked == ["kaggle:/etc"]
