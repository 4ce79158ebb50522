"""Expected times: every phase is timed, what is counted, and how the jobs and their results are kept."""

from dataclasses import replace

import pytest

from fer import estimates
from fer.augmentation import PRESETS
from fer.estimates import Expected, expected_times, measure
from fer.recipes import RECIPES, recipe_config
from fer.runs import create_run, list_runs, record_finished
from fer.training import estimate as module
from fer.training.config import TrainConfig
from fer.training.estimate import estimate
from fer.training.phase import Phase
from tests.evaluation.builders import tiny_dataset

DATA = "0123456789abcdef"


def config(**changes) -> TrainConfig:
    """A training of few images: 7 classes of 12, of which 2 each validate."""
    base = TrainConfig(dataset=tiny_dataset(per_class=12).fingerprint, batch_size=10, precision="float32")
    return replace(base, **changes)


@pytest.fixture
def timed(monkeypatch):
    """Numbers of the phases that were timed; each costs 1 s to compile and as many seconds as its number."""
    phases = []

    def times(config, data, model, policy, number, steps):
        phases.append(number)
        return 1.0, float(number + 1)

    monkeypatch.setattr(module, "_timed", times)
    monkeypatch.setattr(module, "_seconds_per_prediction", lambda *rest: 0.5)
    return phases


def test_each_kind_of_phase_is_timed_once_and_all_epochs_add_up(timed):
    head, whole = Phase(epochs=2, trainable="head"), Phase(epochs=3)
    found = estimate(config(phases=(head, whole, replace(head, epochs=4))))
    assert timed == [0, 1]  # the third is as the first
    assert found["steps"] == 7
    assert found["validation_seconds"] == 14 * 0.5
    assert [row["seconds_per_epoch"] for row in found["phases"]] == [7 + 7, 14 + 7, 7 + 7]
    assert found["seconds"] == 2 * 14 + 3 * 21 + 4 * 14
    # every phase compiles; then the last evaluation, of 14 validation and 84 test images
    assert found["overhead"] == 3 + 7 + 84 * 0.5
    assert found["at_most"] == ""


def test_what_costs_otherwise_is_another_kind(timed):
    phases = (Phase(augment=False), Phase(), Phase(optimizer="sgd"), Phase(trainable="head"))
    estimate(config(phases=phases, augmentation=PRESETS["A"]))
    assert timed == [0, 1, 2, 3]
    timed.clear()
    estimate(config(phases=phases))  # without augmentation the first two are the same
    assert timed == [0, 2, 3]


def test_steps_count_repeats_and_balanced_features(timed):
    found = estimate(config(phases=(Phase(), Phase(images="smote")), oversample={"disgust": 50}))
    assert [row["steps"] for row in found["phases"]] == [(70 + 40) / 10, 7]


def test_hard_samples_count_as_a_whole_epoch_and_are_said(timed):
    found = estimate(config(phases=(Phase(), Phase(images="hard")), early_stopping_patience=3))
    assert [row["steps"] for row in found["phases"]] == [7, 7]
    assert found["at_most"] == (
        "how many samples will be hard is not known yet and early stopping may end a phase sooner"
    )


def test_real_steps_of_every_phase():
    phases = (Phase(epochs=1, trainable="head"), Phase(epochs=1), Phase(epochs=1, images="smote"))
    found = estimate(config(phases=phases), steps=1)
    assert all(row["seconds_per_step"] > 0 for row in found["phases"])
    assert found["validation_seconds"] > 0
    assert found["seconds"] == pytest.approx(sum(row["seconds_per_epoch"] for row in found["phases"]))
    assert not found["random_weights"]


def test_a_stopped_estimate_says_so(tmp_path):
    assert module.run(config().to_json(), tmp_path, None, lambda: True)["stopped"] is True


def test_other_jobs_that_ran_meanwhile_are_counted(tmp_path, timed, monkeypatch):
    monkeypatch.setattr(module, "_others", lambda directory: 2)
    assert module.run(config().to_json(), tmp_path, None, None)["metrics"]["other_runs"] == 2


def measured(recipe: str, seconds: float, dataset: str = DATA, **settings):
    run = create_run(recipe_config(recipe, dataset, **settings), kind="estimate", recipe=recipe)
    record_finished(run, {"seconds": seconds, "overhead": 2.0})
    return run


def test_the_newest_estimate_of_the_recipe_as_it_is_now():
    measured("cnn4", 10)
    newest = measured("cnn4", 20)
    measured("cnn4", 30, batch_size="16")  # of an earlier version of the recipe
    measured("cnn4", 40, dataset="fedcba9876543210")
    times = expected_times(DATA)
    assert times.known == {"cnn4": Expected(newest.id, 22.0, newest.metrics())}
    assert set(times.missing) == set(RECIPES) - {"cnn4"}


def test_what_is_missing_is_queued_once(monkeypatch):
    monkeypatch.setattr(estimates, "submit", lambda run: None)
    measured("cnn4", 10)
    missing = expected_times(DATA).missing
    assert len(measure(DATA, missing)) == len(RECIPES) - 1
    measure(DATA, missing)  # a double click
    jobs = [run for run in list_runs() if run.kind == "estimate"]
    assert len(jobs) == len(RECIPES)
    assert all(run.config == recipe_config(run.recipe, DATA).to_json() for run in jobs)
