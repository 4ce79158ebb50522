"""The Train page: what every field does to the run that starts, phases, seeds, copies, contradictions."""

import json
import re
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import network_options, train_fields
from dashboard.fields import Form
from fer import seeds, storage
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.models import MODELS
from fer.recipes import RECIPES, recipe_config
from fer.reproduce import changes
from fer.runs import list_runs
from fer.training.config import TrainConfig
from fer.training.phase import Phase
from tests.evaluation.builders import tiny_dataset
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def submitted(monkeypatch):
    """Runs that the page handed to the queue, which does not start them here."""
    runs = []
    monkeypatch.setattr("fer.runs.submit", runs.append)
    monkeypatch.setattr("dashboard.live.ensure_dispatcher", lambda: False)
    return runs


def start(page: AppTest) -> AppTest:
    """Press Start."""
    by_label(page.button, "Start training").click()
    page.run()
    assert not page.exception
    return page


def edit(page: AppTest, recipe: str, **edits: object) -> None:
    """Edit the table of phases: `edited_rows`, `added_rows`, `deleted_rows`."""
    page.session_state[f"phases-{recipe}"] = {
        "edited_rows": {},
        "added_rows": [],
        "deleted_rows": [],
    } | edits
    page.run()


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_untouched_page_starts_the_recipe_to_the_last_digit(recipe, demo_dataset, submitted):
    page = start(open_page("train", recipe=recipe))
    assert not page.error
    (run,) = submitted
    assert run.recipe == recipe
    stored = storage.read_json(run.directory / "config.json")["config"]
    assert stored == recipe_config(recipe, demo_dataset.fingerprint).to_json()
    assert any(caption.value == "As in the recipe." for caption in page.caption)


WITHOUT_DISGUST = [name for name in EMOTIONS if name != "disgust"]
# (kind of widget, its label, what it is set to, what differs from the recipe then)
BASELINE: list[tuple[str, str, object, dict[str, str]]] = [
    ("number_input", "Epochs", 3, {"phases.0.epochs": "3"}),
    ("number_input", "Batch size", 16, {"batch_size": "16"}),
    ("number_input", "Learning rate", 0.01, {"phases.0.learning_rate": "0.01"}),
    ("number_input", "Random seed", 7, {"seed": "7"}),
    ("slider", "Validation share", 10, {"split.validation_fraction": "0.1"}),
    ("selectbox", "Split", "64/16/20", {"split.scheme": "64/16/20"}),
    ("toggle", "Copies of a face", False, {"split.group_duplicates": "false"}),
    ("number_input", "Draw of the split", 5, {"split.seed": "5"}),
    ("number_input", "Training images of a class", 30, {"split.per_class": "30"}),
    ("number_input", "Images to train on", 500, {"limit": "500"}),
    ("selectbox", "Pixels", "scale", {"preprocessing": "scale"}),
    ("multiselect", "Classes", WITHOUT_DISGUST, {"classes": json.dumps(WITHOUT_DISGUST)}),
    ("selectbox", "Loss", "focal", {"loss": "focal"}),
    ("number_input", "Label smoothing", 0.1, {"label_smoothing": "0.1"}),
    ("selectbox", "Class weights", "balanced", {"class_weights": "balanced"}),
    ("selectbox", "Class weights", "custom", {}),  # every weight is still 1
    ("multiselect", "Grow classes", ["disgust"], {"oversample": '{"disgust": 3520}'}),
    ("number_input", "Retrain on mistakes", 4, {"hard_samples": "4"}),
    ("selectbox", "Augmentation", "none", {"augmentation.flip": "false"}),
    ("number_input", "MixUp", 0.2, {"mixup": "0.2"}),
    ("number_input", "CutMix", 1.0, {"cutmix": "1.0"}),
    ("number_input", "Weight averaging", 0.999, {"ema": "0.999"}),
    ("number_input", "Patience", 6, {"early_stopping_patience": "6"}),
    ("selectbox", "Keep the epoch", "last", {"checkpoint_monitor": "last"}),
    ("toggle", "Settle", True, {"settle": "true"}),
    ("selectbox", "Device", "cpu", {"device": "cpu"}),
    ("selectbox", "Precision", "float32", {"precision": "float32"}),
    ("number_input", "Batches an update", 4, {"gradient_accumulation": "4"}),
    ("toggle", "Compile with XLA", True, {"jit": "true"}),
    ("toggle", "Deterministic", True, {"deterministic": "true"}),
    ("number_input", "Dropout", 0.25, {"model_options": '{"dropout": 0.25}'}),
]
HYBRID: list[tuple[str, str, object, dict[str, object]]] = [
    ("selectbox", "Initial weights", "random", {"weights": None}),
    ("selectbox", "Backbone", "xception", {"backbone": "xception"}),
    ("selectbox", "Channels", "adapter", {"channels": "adapter"}),
    ("number_input", "Image size", 96, {"image_size": 96}),
    ("multiselect", "Hard classes", ["fear"], {"hard_classes": ["fear"]}),
    ("toggle", "Multi scale", True, {"multi_scale": True}),
]


def changed_one_by_one(page, submitted, cases):
    """What the run that starts differs in from its recipe, after each case alone."""
    for kind, label, value, expected in cases:
        widget = by_label(getattr(page, kind), label)
        before = widget.value
        widget.set_value(value)
        start(page)
        assert not page.error, (label, [error.value for error in page.error])
        config = submitted[-1].train_config()
        yield label, config, expected
        by_label(getattr(page, kind), label).set_value(before)


def test_every_field_changes_its_own_value_and_no_other(demo_dataset, submitted):
    page = open_page("train")
    for label, config, expected in changed_one_by_one(page, submitted, BASELINE):
        assert changes(config) == expected, label


def test_every_option_of_a_network_changes_its_own_value_and_no_other(demo_dataset, submitted):
    page = open_page("train", recipe="hybrid")
    for label, config, expected in changed_one_by_one(page, submitted, HYBRID):
        own = recipe_config("hybrid", demo_dataset.fingerprint)
        assert replace(config, model_options={}) == replace(own, model_options={}), label
        assert config.model_options == own.model_options | expected, label


def test_fields_that_appear_with_the_choice_they_belong_to(demo_dataset, submitted):
    page = open_page("train")
    labels = {widget.label for widget in (*page.number_input, *page.selectbox)}
    hidden = {"Folds", "Fold that validates", "Focal gamma", "Stop by", "Weight of disgust"}
    assert not labels & hidden
    by_label(page.selectbox, "Split").set_value("kfold")
    by_label(page.selectbox, "Loss").set_value("focal")
    by_label(page.number_input, "Patience").set_value(6)
    by_label(page.selectbox, "Class weights").set_value("custom")
    page.run()
    labels = {widget.label for widget in (*page.number_input, *page.selectbox)}
    assert hidden <= labels
    assert not [slider for slider in page.slider if slider.label.startswith("Validation share")]
    by_label(page.number_input, "Folds").set_value(10)
    by_label(page.number_input, "Fold that").set_value(9)
    by_label(page.number_input, "Focal gamma").set_value(1.5)
    by_label(page.selectbox, "Stop by").set_value("val_loss")
    by_label(page.number_input, "Weight of disgust").set_value(15.0)
    by_label(page.number_input, "Weight of fear").set_value(8.0)
    start(page)
    assert changes(submitted[0].train_config()) == {
        "split.scheme": "kfold",
        "split.folds": "10",
        "split.fold": "9",
        "loss": "focal",
        "focal_gamma": "1.5",
        "early_stopping_patience": "6",
        "early_stopping_monitor": "val_loss",
        "class_weights": '{"disgust": 15.0, "fear": 8.0}',
    }


def test_everything_a_training_can_be_told_is_on_the_page():
    asked = {key.split(".")[0] for key in train_fields.FIELDS}
    own_widgets = {"phases", "model_options", "selection", "generated", "augmentation", "class_weights"}
    own_widgets |= {"oversample", "smote", "initial", "teachers", "device"}
    what_is_trained = {"dataset", "recipe", "model"}
    assert asked | own_widgets | what_is_trained == set(TrainConfig("x").to_json())


def test_choices_of_network_options_are_those_of_the_networks():
    source = (storage.PROJECT / "fer" / "models" / "backbones.py").read_text(encoding="utf-8")
    channels, pool = network_options.CHOICES["channels"], network_options.CHOICES["pool"]
    assert f"CHANNELS = {json.dumps(channels)}".replace("[", "(").replace("]", ")") in source
    assert re.findall(r'"(\w+)": layers\.Global', source) == list(pool)  # not imported: it imports keras
    known = {
        name for spec in MODELS.values() for name, value in spec.options.items() if isinstance(value, str)
    }
    assert known - {"weights"} == set(network_options.CHOICES)


def test_phases_are_edited_added_and_removed(demo_dataset, submitted):
    own = list(recipe_config("cnn4", demo_dataset.fingerprint).phases)
    page = open_page("train", recipe="cnn4")
    edit(page, "cnn4", edited_rows={1: {"learning_rate": 5e-4, "schedule": "cosine", "augment": True}})
    start(page)
    assert changes(submitted[-1].train_config()) == {
        "phases.1.learning_rate": "0.0005",
        "phases.1.schedule": "cosine",
        "phases.1.augment": "true",
    }
    edit(page, "cnn4", deleted_rows=[1])
    start(page)
    assert list(submitted[-1].train_config().phases) == [own[0], own[2]]
    edit(page, "cnn4", added_rows=[{"name": "end", "epochs": 2, "optimizer": "sgd", "learning_rate": 1e-5}])
    start(page)
    phases = submitted[-1].train_config().phases
    assert list(phases[:3]) == own
    new = {"name": "end", "epochs": 2, "optimizer": "sgd", "learning_rate": 1e-5}
    assert phases[3] == Phase(**(own[2].to_json() | new))  # what was left empty is as in the phase before
    assert not page.error


def boxes_on_top(page):
    """`(value, disabled)` of Epochs and of Learning rate."""
    boxes = [by_label(page.number_input, label) for label in ("Epochs", "Learning rate")]
    return [(box.value, box.disabled) for box in boxes]


def test_the_boxes_on_top_show_what_the_edited_table_says(demo_dataset, submitted):
    page = open_page("train")
    assert boxes_on_top(page) == [(15, False), (0.002, False)]
    by_label(page.number_input, "Epochs").set_value(20).run()
    for epochs in (30, 40):
        edit(page, "baseline_cnn", edited_rows={0: {"epochs": epochs, "learning_rate": 0.005}})
        assert boxes_on_top(page) == [(epochs, True), (0.005, True)]
    assert by_label(page.number_input, "Epochs").help == "Set in the table of Phases and optimizer."
    start(page)
    assert changes(submitted[0].train_config()) == {
        "phases.0.epochs": "40",
        "phases.0.learning_rate": "0.005",
    }
    edit(page, "baseline_cnn")  # as in the recipe again: the boxes count, and keep what was typed
    assert boxes_on_top(page) == [(20, False), (0.002, False)]
    start(page)
    assert changes(submitted[1].train_config()) == {"phases.0.epochs": "20"}


def test_the_boxes_on_top_add_up_several_phases(demo_dataset):
    page = open_page("train", recipe="cnn4")
    own = recipe_config("cnn4", demo_dataset.fingerprint).phases
    edit(page, "cnn4", deleted_rows=[2], edited_rows={0: {"epochs": 7, "learning_rate": 0.5}})
    assert boxes_on_top(page) == [(7 + own[1].epochs, True), (0.5, True)]
    edit(page, "cnn4", deleted_rows=[0, 1, 2])
    assert boxes_on_top(page) == [(0, True), (0.0, True)]
    assert not page.exception


def test_the_table_says_that_the_boxes_on_top_leave_it_as_it_is(demo_dataset):
    page = open_page("train")
    assert any("Epochs and Learning rate on top act on all phases" in text.value for text in page.caption)


def test_a_validation_split_of_the_data_set_is_said_instead_of_a_share(cache, submitted):
    tiny_dataset("three parts", splits=("train", "validation", "test"))
    page = open_page("train")
    assert not [slider for slider in page.slider if slider.label.startswith("Validation share")]
    assert any("own 42 validation images" in text.value for text in page.caption)
    by_label(page.selectbox, "Split").set_value("kfold").run()  # which divides all that is not test
    assert not any("validation images" in text.value for text in page.caption)


def test_all_images_of_a_class_can_be_had_where_the_recipe_takes_fewer(demo_dataset, submitted):
    page = open_page("train", recipe="inceptionv3_750")
    field = by_label(page.number_input, "Training images of a class")
    assert (field.value, field.min) == (750, 0)
    assert field.help == "Study D: 750 and 2,500. 0: all."
    field.set_value(0)
    start(page)
    assert changes(submitted[0].train_config()) == {"split.per_class": "null"}
    field = by_label(open_page("train").number_input, "Training images of a class")
    assert (field.value, field.min, field.help) == (None, 1, "Study D: 750 and 2,500.")


def test_the_schedule_is_said_in_words(demo_dataset, submitted):
    page = open_page("train", recipe="hybrid")
    (words,) = [caption.value for caption in page.caption if "5 phases" in caption.value]
    plain = words.replace("\\", "")
    assert plain.startswith("5 phases, 85 epochs: frozen backbone: 15 epochs of AdamW, cosine rate 0.001, ")
    assert "unfreeze 1: 15 epochs of AdamW, cosine rate 1e-05, 1 of warm-up, layers 160-175" in plain
    assert by_label(page.number_input, "Learning rate").disabled


@pytest.mark.parametrize(
    ("widgets", "said"),
    [
        ({"Deterministic": ("toggle", True), "Precision": ("selectbox", "bfloat16")}, "float32"),
        ({"Classes": ("multiselect", ["happy"])}, "at least 2"),
        ({"Weight averaging": ("number_input", 0.2)}, "EMA decay"),
        ({"Other settings": ("text_area", "batch 32")}, "name=value"),
        ({"Other settings": ("text_area", "batch=32")}, "batch"),
        ({"Other settings": ("text_area", "model_options.dropout=much")}, "dropout"),
    ],
)
def test_a_contradiction_is_said_and_nothing_starts(widgets, said, demo_dataset, submitted):
    page = open_page("train")
    by_label(page.number_input, "Batch size").set_value(16)
    for label, (kind, value) in widgets.items():
        by_label(getattr(page, kind), label).set_value(value)
    start(page)
    assert any(said in error.value.replace("\\", "") for error in page.error), page.error
    assert submitted == list_runs() == []
    assert by_label(page.number_input, "Batch size").value == 16
    for label, (kind, value) in widgets.items():
        assert by_label(getattr(page, kind), label).value == value


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"deleted_rows": [0]}, "0 phases"),
        ({"edited_rows": {0: {"trainable": "layers 9-3"}}}, "layers 160-175"),
        ({"edited_rows": {0: {"minimum_learning_rate": 1.0}}}, "minimum learning rate"),
    ],
)
def test_phases_that_cannot_be_are_said_and_nothing_starts(edits, said, demo_dataset, submitted):
    page = open_page("train")
    edit(page, "baseline_cnn", **edits)
    start(page)
    assert any(said in error.value.replace("\\", "") for error in page.error), page.error
    assert submitted == list_runs() == []


def test_lists_of_numbers_are_read_from_text(demo_dataset, submitted):
    page = open_page("train", recipe="resnet_se")
    field = by_label(page.text_input, "Widths")
    assert field.value == "32, 64, 128, 224"
    field.set_value("16, 32, 64, 96")
    start(page)
    assert submitted[0].train_config().model_options == {"widths": [16, 32, 64, 96]}
    by_label(page.text_input, "Widths").set_value("16, many")
    start(page)
    assert any("numbers with commas" in error.value for error in page.error)
    assert len(submitted) == 1


def test_changes_are_kept_for_each_recipe_and_forgotten_on_demand(demo_dataset, submitted):
    page = open_page("train")
    by_label(page.number_input, "Batch size").set_value(16)
    edit(page, "baseline_cnn", edited_rows={0: {"epochs": 4}})
    by_label(page.selectbox, "Recipe").set_value("cnn4").run()
    assert by_label(page.number_input, "Batch size").value == 64
    page.switch_page("../pages/runs.py").run()
    page.switch_page("../pages/train.py").run()
    by_label(page.selectbox, "Recipe").set_value("baseline_cnn").run()
    start(page)
    assert changes(submitted[0].train_config()) == {"batch_size": "16", "phases.0.epochs": "4"}
    by_label(page.button, "Back to the recipe").click().run()
    assert by_label(page.number_input, "Batch size").value == 64
    start(page)
    assert changes(submitted[1].train_config()) == {}


def test_a_weights_file_is_named_only_where_nobody_else_sees_the_page(demo_dataset, submitted, monkeypatch):
    page = open_page("train", recipe="resnet50")
    by_label(page.selectbox, "Initial weights").set_value("file")
    start(page)
    assert any("No weights file" in error.value for error in page.error)
    by_label(page.text_input, "Weights file").set_value("/data/resnet50_notop.h5")
    start(page)
    assert submitted[0].train_config().model_options == {"weights": "/data/resnet50_notop.h5"}
    monkeypatch.setattr(network_options, "local", lambda: False)
    page = open_page("train", recipe="resnet50")
    offered = by_label(page.selectbox, "Initial weights").options
    assert not [option for option in offered if "file" in option]
    by_label(page.text_area, "Other settings").set_value("model_options.weights=/etc/passwd")
    start(page)
    assert any("shared on a network" in error.value for error in page.error)
    assert len(submitted) == 1
    by_label(page.text_area, "Other settings").set_value("model_options.weights=none")
    start(page)
    assert submitted[1].train_config().model_options == {"weights": None}


def test_several_seeds_are_one_group(demo_dataset, submitted):
    page = open_page("train")
    by_label(page.number_input, "Seeds").set_value(3)
    by_label(page.number_input, "Random seed").set_value(5)
    by_label(page.text_input, "Run name").set_value("three")
    start(page)
    assert [run.name for run in submitted] == ["three seed 5", "three seed 6", "three seed 7"]
    assert [run.train_config().seed for run in submitted] == [5, 6, 7]
    (tag,) = {text for run in submitted for text in run.tags}
    assert tag.startswith("seeds:baseline_cnn-")
    assert len(tag) <= 40
    start(page)  # a double click
    assert len(list_runs()) == 3
    assert seeds.groups().keys() == {tag.removeprefix("seeds:")}


def test_a_copy_of_a_recipe_has_a_name_and_is_open(demo_dataset, submitted):
    page = open_page("train", recipe="cnn4", clone="1")
    assert any("A copy of cnn" in info.value and "itself stays" in info.value for info in page.info)
    assert by_label(page.text_input, "Run name").value == "cnn4 copy"
    shown = [section for section in page.expander if section.label != "Log"]
    assert len(shown) == 8
    assert all(section.proto.expanded for section in shown)
    start(page)
    assert (submitted[0].name, submitted[0].recipe) == ("cnn4 copy", "cnn4")
    assert (
        by_label(open_page("train", recipe="cnn4", clone="1").text_input, "Run name").value == "cnn4 copy 2"
    )
    page = open_page("train", recipe="cnn4")
    assert by_label(page.text_input, "Run name").value == ""
    assert not any(section.proto.expanded for section in page.expander)


def test_what_is_not_changed_is_not_passed_on():
    form = Form({"share": 0.123, "rate": 1e-7, "none": None}, "x")
    assert form.own("share") == 0.123
    form.note("share", 0.123)
    assert form.changed == {}
    form.note("share", 0.2)
    assert (form.changed, form.now("share"), form.now("rate")) == ({"share": 0.2}, 0.2, 1e-7)


def test_a_value_that_a_network_cannot_have_is_refused_before_it_trains():
    with pytest.raises(UserError, match=r"cannot be 1\.5"):
        network_options.check(TrainConfig("x", model="vgg", model_options={"dropout": 1.5}), {})
