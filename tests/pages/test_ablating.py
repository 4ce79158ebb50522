"""Ablations and remedies on the pages: queued once, read without mistake, and choices stay."""

import numpy as np
import pytest
import streamlit as st

from dashboard import ablation_results, clicks, network_view, run_table, running_again, state
from fer import ablation_ingredients, ablations
from fer.errors import UserError
from fer.generation.config import DiffusionConfig
from fer.generation.dataset import accept
from fer.recipes import recipe_config
from fer.runs import create_run, list_runs, record_finished, statuses
from tests.evaluation.builders import tiny_dataset
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def dataset():
    return tiny_dataset("here")


@pytest.fixture
def submitted(monkeypatch):
    """Runs that were handed to the queue, which starts none here."""
    runs = []
    for place in (ablations, ablation_ingredients, running_again):
        monkeypatch.setattr(place, "submit", runs.append)
    return runs


@pytest.fixture
def memory(monkeypatch):
    """The session's state, without a session."""
    found = {}
    monkeypatch.setattr(st, "session_state", found)
    return found


def test_the_same_within_five_seconds_is_done_once(memory, monkeypatch):
    now, made = [100.0], []
    monkeypatch.setattr(clicks.time, "monotonic", lambda: now[0])

    def slow(wish, seconds=60):
        now[0] += seconds
        made.append(wish)
        return len(made)

    assert [clicks.once(slow, "a"), clicks.once(slow, "a")] == [1, 1]  # it took longer than five seconds
    now[0] += 4.9
    assert clicks.once(slow, "a") == 1
    assert clicks.once(slow, "b") == 2
    assert clicks.once(slow, "b", seconds=1) == 3
    now[0] += 5.1
    assert clicks.once(slow, "b", seconds=1) == 4


def test_what_failed_may_be_asked_for_again_at_once(memory):
    def refused():
        raise UserError("no")

    for _ in range(2):
        with pytest.raises(UserError, match="no"):
            clicks.once(refused)


def test_a_double_click_queues_an_ablation_once(dataset, submitted, monkeypatch):
    monkeypatch.setattr(network_view, "architecture", lambda recipe: None)
    monkeypatch.setattr(network_view, "show", lambda *rest: None)
    page = open_page("recipes", **{state.DATASET: dataset.name, state.RECIPE: "baseline_cnn"})
    for _ in range(2):
        by_label(page.button, "Queue the ablation").click().run()
    assert not page.exception
    assert len(submitted) == 9  # three variants, three seeds
    by_label(page.number_input, "Seeds").set_value(1).run()
    by_label(page.button, "Queue the ablation").click().run()
    assert len(submitted) == 12  # another wish


def test_a_double_click_queues_the_remedies_once(dataset, submitted):
    other = create_run(DiffusionConfig(dataset.fingerprint).to_json(), kind="diffusion")
    (other.directory / "best.keras").touch()
    faces = np.stack([np.full((48, 48), value, np.uint8) for value in (9, 99)])
    accept("mine", other, faces, ["disgust"] * 2, [{}, {}])

    def script():
        from dashboard import generating_answer

        generating_answer.accepted()
        generating_answer.remedies()

    from streamlit.testing.v1 import AppTest

    page = AppTest.from_function(script, default_timeout=60).run()
    for _ in range(2):
        by_label(page.button, "Queue the comparison").click().run()
    assert not page.exception
    assert not page.error
    assert len(submitted) == 15  # five variants, three seeds
    assert any("under *Images and split*" in caption.value for caption in page.caption)


def test_seeds_and_epochs_stay_while_the_ingredients_are_looked_for(dataset, monkeypatch):
    monkeypatch.setattr(network_view, "architecture", lambda recipe: None)
    monkeypatch.setattr(network_view, "show", lambda *rest: None)
    page = open_page("recipes", **{state.DATASET: dataset.name, state.RECIPE: "baseline_cnn"})
    by_label(page.number_input, "Seeds").set_value(5)
    by_label(page.number_input, "Epochs").set_value(7)
    page.run()
    page.switch_page("../pages/denoise.py").run()
    page.switch_page("../pages/recipes.py").run()
    assert not page.exception
    assert by_label(page.number_input, "Seeds").value == 5
    assert by_label(page.number_input, "Epochs").value == 7


def test_the_same_job_again_is_another_ablation(submitted, memory):
    identifier, job = ablation_ingredients.queue(recipe_config("cnn4", "x"), ["denoised"], seeds=2)
    for _ in range(2):
        running_again._same_again(job)
    again, same = list_runs()
    assert same.id == job.id
    assert submitted == [job, again]
    assert again.config["ablation"] != identifier
    assert again.config | {"ablation": identifier} == job.config
    other = create_run({"dataset": "x"}, kind="outliers")
    running_again._same_again(other)
    assert submitted[-1].config == other.config


def test_the_caption_says_what_the_figures_were_measured_on(submitted):
    config = recipe_config("baseline_cnn", "0123456789abcdef")
    plain = ablations.table(ablations.start(config, seeds=1))
    assert "denoised" not in ablation_results.caption(plain)
    copied = ablations.table(ablations.start(config, seeds=1, denoised="fedcba9876543210"))
    assert "*denoised* is scored on denoised test images" in ablation_results.caption(copied)
    assert "no test images" not in ablation_results.caption(copied)
    identifier = ablations.start(config, seeds=1)
    record_finished(submitted[-1], {"accuracy": 0.5, "split": "validation"})
    assert "found no test images" in ablation_results.caption(ablations.table(identifier))


def test_accuracies_on_validation_images_are_no_test_accuracies(dataset):
    config = recipe_config("baseline_cnn", dataset.fingerprint)
    figures = {"accuracy": 0.9, "accuracy_without_leaks": 0.8}

    def home() -> str:
        return " ".join(text.value for text in open_page("home", dataset="here").markdown)

    assert "No finished run yet." in home()
    elsewhere = create_run(recipe_config("baseline_cnn", "another"), name="elsewhere")
    record_finished(elsewhere, figures)
    assert "No finished run on this data set yet." in home()
    chosen = create_run(config, name="on validation")
    record_finished(chosen, figures | {"split": "validation"})
    assert "1 finished, none of them measured on test images." in home()
    old = create_run(config, name="on test")
    record_finished(old, {"accuracy": 0.5})
    assert "2 finished, best 50.0 % on test (on test)" in home()
    judged = create_run({"run": chosen.id, "split": "validation"}, kind="evaluate")
    record_finished(judged, figures)
    runs = [chosen, judged, old]
    shown = run_table.table(runs, statuses(runs))
    assert shown["test (%)"].isna().tolist() == [True, True, False]
    assert shown["without leaks (%)"].isna().all()
