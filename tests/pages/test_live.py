"""The live view: what a run that failed offers, what a finished one scored, several seeds, a removed run."""

from functools import partial

import pytest
from streamlit.testing.v1 import local_script_runner

from dashboard import live, state
from fer import runs, seeds, storage
from fer.generation.config import DiffusionConfig
from fer.recipes import recipe_config
from fer.runs import failures, files
from fer.training.errors import NotANumber, OutOfMemory
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def queued(monkeypatch):
    """Runs that a button handed to the queue; none starts."""
    made = []
    monkeypatch.setattr("dashboard.live.submit", made.append)
    monkeypatch.setattr("dashboard.live.ensure_dispatcher", lambda: False)
    return made


def ended(run, **record):
    """The run as its worker leaves it when it ends."""
    files.write_record(
        run.directory, files.read_record(run.directory) | {"started": 1e9, "ended": 1e9} | record
    )
    return run


def failed(dataset, error, recipe="baseline_cnn"):
    """A run that ended with the error, recorded as the worker does it."""
    run = runs.create_run(recipe_config(recipe, dataset.fingerprint), recipe=recipe)
    return ended(run, **failures.explain(error, run.config))


def retry(page):
    """The button that starts it anew; None without one."""
    found = [button for button in page.button if (button.key or "").startswith("retry-")]
    return found[0] if found else None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),  # known by its kind
        OutOfMemory("One step needs more memory than there is.", "Halve it.", {"batch_size": 32}),
    ],
)
def test_half_the_batch_after_memory_ran_out(error, demo_dataset, queued):
    old = failed(demo_dataset, error)
    page = open_page("train")
    assert retry(page).label == "Try again with batch size 32"
    retry(page).click().run()
    assert not page.exception
    assert not page.error
    (new,) = queued
    assert new.id != old.id
    assert new.train_config() == recipe_config("baseline_cnn", demo_dataset.fingerprint, batch_size="32")
    assert old.train_config().batch_size == 64
    assert page.session_state[state.WATCHED] == new.id


def test_a_lower_rate_after_the_loss_was_not_a_number(demo_dataset, queued):
    error = NotANumber("The loss is not a number any more.", "Lower the rate.", {"learning_rate": 2e-4})
    failed(demo_dataset, error)
    page = open_page("train")
    retry(page).click().run()
    assert queued[0].train_config().phases[0].learning_rate == 2e-4
    assert not page.error


def test_a_lower_rate_of_the_phase_in_which_it_happened(demo_dataset, queued):
    error = NotANumber("Not a number.", "Lower the rate.", {"phases.2.learning_rate": 5e-7})
    failed(demo_dataset, error, "hybrid")
    page = open_page("train")
    assert retry(page).label == "Try again with learning rate of phase 3 5e-07"
    retry(page).click().run()
    rates = [phase.learning_rate for phase in queued[0].train_config().phases]
    assert rates == [1e-3, 1e-5, 5e-7, 1e-6, 1e-7]


def test_random_weights_after_a_download_failed(demo_dataset, queued):
    run = runs.create_run(recipe_config("resnet50", demo_dataset.fingerprint), recipe="resnet50")
    ended(run, **failures.failed("No download.", "", "download", {"model_options.weights": None}))
    page = open_page("train")
    assert retry(page).label == "Train without ImageNet weights"
    retry(page).click().run()
    assert queued[0].train_config().model_options == {"weights": None}


@pytest.mark.parametrize("error", [ValueError("odd"), OSError(28, "No space left", "/tmp/x")])
def test_a_failure_without_a_remedy_in_the_settings_offers_resume_alone(error, demo_dataset, queued):
    failed(demo_dataset, error)
    page = open_page("train")
    assert retry(page) is None
    assert by_label(page.button, "Resume")


def test_a_job_that_is_no_training_is_not_retried_as_one(demo_dataset, queued):
    run = runs.create_run(DiffusionConfig(demo_dataset.fingerprint).to_json(), kind="diffusion")
    error = NotANumber("Not a number.", "Lower the rate.", {"learning_rate": 1e-5})
    ended(run, **failures.explain(error, run.config))
    page = open_page("runs", run=run.name)
    assert not page.exception
    assert retry(page) is None


def test_a_remedy_that_does_not_fit_the_run_is_a_sentence(demo_dataset, queued):
    failed(demo_dataset, NotANumber("Not a number.", "Lower it.", {"phases.7.learning_rate": 1e-5}))
    page = open_page("train")
    retry(page).click().run()
    assert not page.exception
    assert any("phase" in error.value for error in page.error)
    assert queued == []
    assert len(runs.list_runs()) == 1


def test_precision_and_scores_with_and_without_leaked_images(demo_dataset, queued):
    run = runs.create_run(recipe_config("baseline_cnn", demo_dataset.fingerprint), recipe="baseline_cnn")
    figures = {"accuracy": 0.7004, "accuracy_without_leaks": 0.6886, "split": "test"}
    ended(run, state="finished", metrics=figures)
    storage.write_json(run.directory / "progress.json", {"device": "cpu", "precision": "mixed_bfloat16"})
    page = open_page("train")
    shown = {metric.label: metric.value for metric in page.metric}
    assert (shown["Device"], shown["Precision"]) == ("CPU", "bfloat16")
    assert (shown["Test accuracy"], shown["Without leaked images"]) == ("70.0 %", "68.9 %")
    ended(run, state="finished", metrics=figures | {"split": "validation", "accuracy_without_leaks": None})
    shown = {metric.label: metric.value for metric in open_page("train").metric}
    assert (shown["Validation accuracy"], shown["Without leaked images"]) == ("70.0 %", "–")


def test_seeds_are_shown_as_mean_and_deviation(demo_dataset, queued):
    config = recipe_config("baseline_cnn", demo_dataset.fingerprint)
    made = list(seeds.make(config, 3))
    for run, accuracy in zip(made, (0.70, 0.72, 0.9), strict=True):
        figures = {"accuracy": accuracy, "accuracy_without_leaks": accuracy - 0.01, "macro_f1": 0.5}
        ended(run, state="finished" if run is not made[2] else "stopped", metrics=figures)
    page = open_page("train")
    assert any("3 seeds, 2 finished" in text.value for text in page.markdown)
    (table,) = [frame.value for frame in page.dataframe if "without leaked images (%)" in frame.value]
    assert list(table["run"]) == ["seed 0", "seed 1", "mean", "± deviation"]
    assert list(table["accuracy (%)"]) == pytest.approx([70, 72, 71, 2**0.5])
    assert list(table["without leaked images (%)"]) == pytest.approx([69, 71, 70, 2**0.5])
    assert any(button.key == f"csv-seeds-{seeds.group_of(made[0])}" for button in page.get("download_button"))


def polled(page, monkeypatch):
    """The page after its fragments ran once more by themselves, as they do every few seconds."""
    request = local_script_runner.RerunData
    fragments = list(page._fragment_storage._fragments)
    with monkeypatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", partial(request, fragment_id_queue=fragments))
        return page.run()


def test_a_watched_run_that_is_removed_elsewhere_leaves_the_page(demo_dataset, queued, monkeypatch):
    monkeypatch.setattr("fer.runs.lifecycle.ensure_dispatcher", lambda: False)
    config = recipe_config("baseline_cnn", demo_dataset.fingerprint)
    older, newer = (runs.create_run(config, recipe="baseline_cnn", name=name) for name in ("older", "newer"))
    runs.submit(older)
    page = open_page("train")
    page.session_state[state.WATCHED] = older.id
    page.run()
    assert by_label(page.selectbox, "Watch").value == older.id
    assert by_label(page.button, "Stop")
    assert not polled(page, monkeypatch).exception
    page.run()
    runs.remove(older)
    polled(page, monkeypatch)
    assert not page.exception
    assert not page.error
    assert by_label(page.selectbox, "Watch").value == newer.id
    runs.remove(newer)
    polled(page, monkeypatch)
    assert not page.exception
    assert any("No run yet" in info.value for info in page.info)


def test_a_job_that_is_removed_elsewhere_leaves_the_page(demo_dataset, queued, monkeypatch):
    job = ended(
        runs.create_run({"dataset": demo_dataset.fingerprint}, kind="outliers"),
        **failures.failed("No room left.", "", "memory", {}),
    )
    page = open_page("outliers")
    assert any("No room left" in text.value for text in page.caption)
    runs.remove(job)
    polled(page, monkeypatch)
    assert not page.exception
    assert not page.error
    assert not any("No room left" in text.value for text in page.caption)


def test_what_the_button_offers_in_words():
    assert (
        live._offer({"batch_size": 8, "learning_rate": 0.1})
        == "Try again with batch size 8, learning rate 0.1"
    )
