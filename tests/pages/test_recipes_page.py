"""The Recipes page: every column, the opened recipe, its network, its times, and its ablations."""

import json
import subprocess

import pandas as pd
import pytest
import streamlit as st

from dashboard import expected_time, network_view, recipe_figures, recipe_page, state
from fer import ablation_ingredients, ablations
from fer.analysis.denoising import DenoiseConfig
from fer.data.dataset import save_dataset
from fer.data.selection import mark
from fer.estimates import Expected, expected_times
from fer.measured import measured
from fer.recipes import RECIPES, recipe_config
from fer.runs import create_run, list_runs, record_finished
from tests.evaluation.builders import tiny_dataset
from tests.pages.conftest import open_page

DRAWN = {
    "dot": 'digraph "x" {\n}\n',
    "parameters": 1,
    "layers": [
        {"number": number, "name": name, "type": "Dense", "output_shape": "7", "parameters": 1234,
         "trainable": True, "connected_to": [], "phases": phases}
        for number, name, phases in ((0, "first", [2, 3, 4]), (None, "logits", [1, 2]))
    ],
}  # fmt: skip
COLUMNS = [
    "recipe", "study", "what it tests", "figure", "reported (%)", "here (%)", "best (%)",
    "difference (points)", "runs", "expected time", "parameters", "± (points)", "without leaks (%)",
    "with changes",
]  # fmt: skip


@pytest.fixture
def dataset():
    return tiny_dataset("here")


@pytest.fixture
def drawn(monkeypatch):
    """No network is built; the names of the recipes whose network would be."""
    asked = []

    def architecture(recipe):
        asked.append(recipe)
        return DRAWN

    monkeypatch.setattr(network_view, "architecture", architecture)
    return asked


@pytest.fixture
def submitted(monkeypatch):
    """Runs that the page handed to the queue, which does not start them here."""
    runs = []
    for place in (recipe_page, ablations, ablation_ingredients):
        monkeypatch.setattr(place, "submit", runs.append)
    monkeypatch.setattr("fer.estimates.submit", runs.append)
    return runs


def finished(dataset, recipe, accuracy, **settings):
    run = create_run(recipe_config(recipe, dataset.fingerprint, **settings), recipe=recipe)
    figures = {"accuracy": accuracy, "accuracy_without_leaks": accuracy - 0.02, "macro_f1": accuracy - 0.1}
    record_finished(run, figures | {"log_loss": 1.25, "split": "test"})
    return run


FACTS = {"epochs": 15, "images_per_second": 321.0, "device": "cpu", "precision": "float32"}


def timed(dataset, recipe, seconds, **facts):
    run = create_run(recipe_config(recipe, dataset.fingerprint), kind="estimate", recipe=recipe)
    record_finished(run, {"seconds": seconds, "overhead": 10.0} | FACTS | facts)
    return run


def opened(dataset, recipe="baseline_cnn"):
    page = open_page("recipes", **{state.DATASET: dataset.name, state.RECIPE: recipe})
    assert not page.exception
    return page


def button(page, label):
    (found,) = [button for button in page.button if button.label.startswith(label)]
    return found


def box(page, label):
    (found,) = [box for box in page.selectbox if box.label == label]
    return found


def texts(page):
    return [one.value for one in page.caption]


def recipes_table(page):
    return page.dataframe[0].value.set_index("recipe")


@pytest.mark.usefixtures("drawn")
def test_every_column_of_the_table(dataset):
    for seed, accuracy in enumerate((0.50, 0.54)):
        finished(dataset, "baseline_cnn", accuracy, seed=str(seed))
    finished(dataset, "hybrid_mobilenetv3small", 0.30)
    finished(dataset, "cnn4", 0.6, epochs="3")  # another experiment
    timed(dataset, "baseline_cnn", 110)
    shown = recipes_table(opened(dataset))
    assert list(shown.reset_index().columns) == COLUMNS
    assert list(shown.index) == list(RECIPES)
    row = shown.loc["baseline_cnn"]
    assert (row["study"], row["what it tests"]) == ("A", RECIPES["baseline_cnn"].tests)
    assert (row["figure"], row["runs"]) == ("accuracy", 2)
    assert pd.isna(row["with changes"])
    assert row["parameters"] == 57_527
    numbers = ["reported (%)", "here (%)", "best (%)", "difference (points)", "without leaks (%)"]
    assert [row[name] for name in numbers] == pytest.approx([50.4, 52.0, 54.0, 3.6, 50.0])
    assert row["± (points)"] == pytest.approx(12.7062 * 2, rel=1e-3)
    assert row["expected time"] == 120
    hybrid = shown.loc["hybrid_mobilenetv3small"]
    assert (hybrid["figure"], hybrid["parameters"]) == ("macro F1", 1_936_318)
    assert [hybrid[name] for name in numbers[:4]] == pytest.approx([17.7, 20.0, 20.0, 2.3])
    other = shown.loc["cnn4"]
    assert (other["runs"], other["with changes"]) == (
        0,
        "60.0 %: phase 1 epochs 1, phase 2 epochs 1, phase 3 epochs 1",
    )
    assert other[numbers[1:]].isna().all()
    assert shown["parameters"].notna().all()


def test_a_row_opens_its_recipe(monkeypatch):
    memory = {f"table-{recipe_page.TABLE}": {"selection": {"rows": [3]}}}
    monkeypatch.setattr(st, "session_state", memory)
    recipe_page._open()
    assert memory[state.RECIPE] == list(RECIPES)[3]
    memory[f"table-{recipe_page.TABLE}"] = {"selection": {"rows": []}}
    recipe_page._open()
    assert memory[state.RECIPE] == list(RECIPES)[3]  # taking the mark away closes nothing


@pytest.mark.usefixtures("drawn")
def test_train_it_queues_the_recipe_as_it_stands_once(dataset, submitted):
    timed(dataset, "cnn4", 3590)
    page = opened(dataset, "cnn4")
    next(one for one in page.button if one.label == "Train it").click().run()
    assert "About 1 h 00 min" in page.toast[0].value
    next(one for one in page.button if one.label == "Train it").click().run()  # a double click
    assert len({run.id for run in submitted}) == 1
    assert submitted[0].train_config() == recipe_config("cnn4", dataset.fingerprint)
    assert page.session_state[state.WATCHED] == submitted[0].id


@pytest.mark.usefixtures("drawn")
def test_a_clone_opens_the_train_page_with_recipe_and_data_set(dataset):
    tiny_dataset("newer", seed=5)  # what a page begins with
    page = opened(dataset)
    box(page, "Open a recipe").select("cnn4").run()
    button(page, "Train it as a clone").click().run()
    assert not page.exception
    assert [title.value for title in page.title] == ["Train"]
    assert page.query_params["clone"] in ("1", ["1"])
    assert (box(page, "Data set").value, box(page, "Recipe").value) == ("here", "cnn4")


@pytest.mark.usefixtures("drawn")
def test_expected_time_with_what_it_holds_for(dataset):
    timed(dataset, "cnn4", 590, at_most="early stopping may end a phase sooner", other_runs=1)
    shown = " ".join(texts(opened(dataset, "cnn4"))).replace("\\", "")
    assert "at most 10 min 00 s for 15 epochs, 321 images/s" in shown
    assert "Early stopping may end a phase sooner; another job ran meanwhile" in shown
    shown_alone = expected_time.sentence(Expected("", 60, {**FACTS, "processor_busy": 0.9}))
    assert shown_alone.endswith("Other programs kept 90% of the processor busy, so it may be faster alone.")
    assert "busy" not in expected_time.sentence(Expected("", 60, {**FACTS, "processor_busy": 0.1}))
    assert "3 variants × 3 seeds = 9 trainings, at most 1 h 30 min one after the other." in shown


@pytest.mark.usefixtures("drawn")
def test_measure_all_queues_what_is_missing(dataset, submitted):
    timed(dataset, "cnn4", 590)
    page = opened(dataset)
    label = f"Measure all ({len(RECIPES) - 1} expected"
    button(page, label).click().run()
    assert {run.recipe for run in submitted} == set(RECIPES) - {"cnn4"}
    assert {run.kind for run in submitted} == {"estimate"}


@pytest.mark.usefixtures("drawn")
def test_one_time_is_measured(dataset, submitted):
    button(opened(dataset, "cct"), "Measure how long").click().run()
    assert [(run.recipe, run.kind) for run in submitted] == [("cct", "estimate")]
    assert submitted[0].config == recipe_config("cct", dataset.fingerprint).to_json()
    assert expected_times(dataset.fingerprint).known == {}


@pytest.mark.usefixtures("drawn")
def test_figures_of_the_opened_recipe(dataset):
    finished(dataset, "baseline_cnn", 0.50)
    finished(dataset, "baseline_cnn", 0.54, seed="1")
    page = opened(dataset)
    table = page.dataframe[1].value.set_index("figure")
    assert dict(table.loc["accuracy"]) == {
        "reported": "50.4 %", "here": "52.0 ± 25.4 %", "difference": "1.6 points more", "best run": "54.0 %",
    }  # fmt: skip
    assert table.loc["accuracy without leaks", "here"] == "50.0 ± 25.4 %"
    assert table.loc["log loss", "here"] == "1.250 ± 0.000"
    assert table.loc["macro F1", "difference"] == "1.0 points more"
    assert table.loc["F1 of angry", "reported"] == "32.0 %"
    assert any("mean of 2 runs" in text for text in texts(page))


def test_figures_of_every_class_even_where_the_study_has_none(dataset):
    finished(dataset, "cct", 0.6)
    group = measured(dataset.fingerprint)["cct"].main
    of_class = {"f1": 0.5, "recall": 0.6, "precision": 0.4, "support": 3}
    report = {"per_class": dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
                                         of_class)}  # fmt: skip
    shown = recipe_figures.figures(RECIPES["cct"], group, [(0, report), (1, report)]).set_index("figure")
    assert shown.loc["F1 of disgust", "here"] == 0.5
    assert len(shown) == 4 + 7  # its study gives no recalls
    repeated = report | {"per_class": report["per_class"] | {"happy": of_class | {"f1": 0.8}}}
    reports = [(0, report), (0, repeated), (1, report)]
    shown = recipe_figures.figures(RECIPES["cct"], group, reports).set_index("figure")
    assert shown.loc["F1 of happy", "here"] == pytest.approx((0.65 + 0.5) / 2)  # each seed counts once
    left_out = report | {"per_class": report["per_class"] | {"disgust": dict.fromkeys(of_class, 0)}}
    assert "F1 of disgust" not in set(
        recipe_figures.figures(RECIPES["cct"], group, [(0, left_out)])["figure"]
    )
    recalls = recipe_figures.figures(RECIPES["vit_patch8"], group, [(0, report)]).set_index("figure")
    assert recalls.loc["recall of happy", "difference"] == pytest.approx(0.6 - 0.71)


@pytest.mark.usefixtures("drawn")
def test_the_nearest_run_is_shown_where_none_is_unchanged(dataset):
    finished(dataset, "resnet_se", 0.682, settle="false")
    shown = [link.proto.label.replace("\\", "") for link in opened(dataset, "resnet_se").get("page_link")]
    assert "Nearest run: 68.2 % accuracy (settle off)" in shown


@pytest.mark.usefixtures("drawn")
def test_the_best_of_the_runs_with_changes_is_named(dataset):
    for seed in ("0", "1"):
        finished(dataset, "unet_attention", 0.60, selection="one@1", seed=seed)
    finished(dataset, "unet_attention", 0.65, selection="one@2")
    shown = recipes_table(opened(dataset)).loc["unet_attention"]
    assert shown["with changes"] == "65.0 %: selection one@2"
    assert shown["runs"] == 0


@pytest.mark.usefixtures("drawn")
def test_how_it_trains(dataset):
    page = opened(dataset, "hybrid_heavy_weights")
    phases = next(frame.value for frame in page.dataframe if "optimizer" in frame.value)
    assert list(phases["trains"]) == [phase.trainable for phase in recipe_config("hybrid", "d").phases]
    assert list(phases["epochs"]) == [15, 15, 15, 20, 20]
    line = next(text for text in texts(page) if "batch 32" in text).replace("\\", "")
    assert "class weights disgust ×15, fear ×8" in line
    assert "rotation 35°" in line
    assert "20 % of train validate" in line
    own = recipe_figures.settings(recipe_config("hybrid", "d"), own_validation=1234)
    assert "split: test images as released, the data set's own 1,234 images validate" in own


def test_the_diagram_and_layers_of_a_hybrid_are_its_own(dataset):
    network_view.architecture.clear()
    page = opened(dataset, "hybrid_mobilenetv3small")
    assert not page.warning
    dot = page.get("graphviz_chart")[0].proto.spec
    assert '"attention"' in dot
    layers = next(frame.value for frame in page.dataframe if "layer" in frame.value)
    assert layers["parameters"].sum() == 1_936_318
    assert "backbone_155_activation" in set(layers.loc[layers["number"] == 155, "layer"])
    named = layers.set_index("layer")
    assert named.loc["logits", "trained in"] == "phases 1 to 5"


@pytest.mark.usefixtures("drawn")
def test_layers_have_numbers_and_phases(dataset):
    page = opened(dataset)
    layers = next(frame.value for frame in page.dataframe if "layer" in frame.value)
    assert list(layers["trained in"]) == ["phases 2 to 4", "phases 1, 2"]
    assert layers["number"].isna().tolist() == [False, True]
    assert list(layers["trainable"]) == [True, True]


def test_recipes_of_one_network_share_its_diagram(dataset, drawn):
    opened(dataset, "unet_mixup")
    opened(dataset, "hybrid_xception")
    opened(dataset, "inceptionv3_without_disgust")
    assert drawn == ["unet_attention", "hybrid_xception", "inceptionv3_without_disgust"]


@pytest.mark.parametrize("problem", ["slow", "broken"])
def test_a_network_that_cannot_be_built_is_a_warning(dataset, monkeypatch, problem):
    network_view.architecture.clear()

    def run(command, **options):
        assert command[-3:] == ["--recipe", "baseline_cnn", "--json"]
        if problem == "slow":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, 1, "", "It is broken.\n")

    monkeypatch.setattr(network_view.subprocess, "run", run)
    page = opened(dataset)
    (warning,) = page.warning
    assert ("more than 5 minutes" if problem == "slow" else "It is broken") in warning.value
    assert button(page, "Queue the ablation")  # the rest of the page is there


@pytest.mark.usefixtures("drawn")
def test_an_ablation_is_queued_with_its_variants(dataset, submitted):
    made = {"denoised_from": dataset.fingerprint, "denoising": DenoiseConfig().to_json()}
    images = dataset.images // 2
    copy = save_dataset("its copy", images, dataset.labels, dataset.splits, list(dataset.names), made)
    tiny_dataset("of another", seed=5)
    mark(dataset, "clean", dataset.indices("train")[:2], "drop")
    page = opened(dataset)
    copies = box(page, "Denoised copy")
    assert copies.options == ["leave this variant out", "its copy"]
    copies.select(copy.fingerprint)
    box(page, "Selection without outliers").select("clean")
    next(one for one in page.number_input if one.label.startswith("Seeds")).set_value(2)
    next(one for one in page.number_input if one.label == "Epochs").set_value(4)
    page.run()
    page.switch_page("../pages/denoise.py").run()
    page.switch_page("../pages/recipes.py").run()  # where what was chosen still is
    assert any("5 variants × 2 seeds = 10 trainings" in text for text in texts(page))
    button(page, "Queue the ablation").click().run()
    (one,) = ablations.known()
    assert (one.recipe, one.dataset) == ("baseline_cnn", dataset.fingerprint)
    rows = {row.variant: row.planned for row in ablations.table(one.identifier)}
    names = ["as it is", "with class weights", "without augmentation", "outliers removed", "denoised"]
    assert rows == dict.fromkeys(names, 2)
    configs = [run.train_config() for run in submitted]
    assert {config.own_epochs for config in configs} == {4}
    assert [config.seed for config in configs] == [0, 1] * 5
    assert [config.dataset for config in configs[-2:]] == [copy.fingerprint] * 2
    assert [config.selection for config in configs[6:8]] == ["clean@1"] * 2
    assert box(page, "Results of").value == one.identifier


@pytest.mark.usefixtures("drawn")
def test_missing_ingredients_are_made_first(dataset, submitted):
    page = opened(dataset)
    for one in page.checkbox:
        assert one.label in ("Mark outliers first", "Make a denoised copy first")
        one.check()
    page.run()
    page.switch_page("../pages/denoise.py").run()
    page.switch_page("../pages/recipes.py").run()
    assert any("5 variants × 3 seeds" in text for text in texts(page))
    button(page, "Queue the ablation").click().run()
    (job,) = submitted
    assert (job.kind, job.config["make"], job.config["seeds"]) == ("ablation", ["denoised", "outliers"], 3)
    assert list_runs() == [job]


@pytest.mark.usefixtures("drawn", "submitted")
def test_results_are_those_of_the_recipe_and_data_set(dataset):
    first = ablations.start(recipe_config("baseline_cnn", dataset.fingerprint), seeds=2)
    ablations.start(recipe_config("cnn4", dataset.fingerprint), seeds=1)
    ablations.start(recipe_config("baseline_cnn", "0123456789abcdef"), seeds=1)
    runs = sorted(list_runs(), key=lambda run: run.created)[:4]
    for run, accuracy in zip(runs, (0.50, 0.54, 0.56, 0.61), strict=True):
        record_finished(run, {"accuracy": accuracy, "accuracy_without_leaks": accuracy, "macro_f1": 0.4})
    page = opened(dataset)
    assert box(page, "Results of").options == [first]
    table = next(frame.value for frame in page.dataframe if "variant" in frame.value)
    assert list(table.columns[:3]) == ["variant", "accuracy (%)", "difference (points)"]
    second = table.iloc[1]
    assert second["accuracy (%)"] == pytest.approx(58.5)
    assert second["difference (points)"] == pytest.approx(6.5)
    assert second["± difference"] == pytest.approx(12.7062 * 0.5, rel=1e-3)
    assert second["runs"] == "2 of 2"
    assert table.iloc[2]["runs"] == "0 of 2, 2 stopped"
    (figure,) = page.get("plotly_chart")
    assert len(json.loads(figure.proto.spec)["data"]) == 2
    assert not [one for one in opened(dataset, "cct").selectbox if one.label == "Results of"]


def test_the_dashboard_reads_what_the_command_writes():
    """`--json` with every key the page uses, in a process of its own."""
    network_view.architecture.clear()
    found = network_view.architecture("vit_patch4")
    assert {"dot", "layers", "parameters"} <= set(found)
    assert set(found["layers"][0]) >= set(DRAWN["layers"][0])
