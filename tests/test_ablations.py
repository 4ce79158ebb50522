"""An ablation queues every variant over its seeds and reads its table back from the runs."""

from pathlib import Path

import numpy as np
import pytest

from fer import ablation_ingredients, ablations
from fer.ablations import GROUP, REMEDIES, Known, new_identifier
from fer.analysis import outliers
from fer.data.dataset import save_dataset
from fer.data.selection import open_selection
from fer.errors import UserError
from fer.recipes import RECIPES, recipe_config
from fer.runs import create_run, list_runs, record_finished, remove, tag
from tests.evaluation.builders import tiny_dataset

DATA = "0123456789abcdef"


@pytest.fixture
def queued(monkeypatch):
    """Every run that is handed to the queue, which starts none here."""
    runs = []
    monkeypatch.setattr(ablations, "submit", runs.append)
    return runs


def test_every_variant_is_queued_over_its_seeds_and_differs_in_one_ingredient(queued):
    config = recipe_config("baseline_cnn", DATA)
    identifier = ablations.start(config, seeds=2)
    assert ablations.identifiers() == [identifier]
    rows = ablations.table(identifier)
    assert len(rows) >= 3
    assert all((row.planned, row.finished, row.accuracy) == (2, 0, None) for row in rows)
    assert len(queued) == 2 * len(rows)
    base = [run.train_config() for run in queued[:2]]
    assert base[0].seed != base[1].seed
    assert {run.train_config().augmentation.active for run in queued} == {True, False}
    assert {str(run.train_config().class_weights) for run in queued} == {"none", "balanced"}


def test_resumed_it_queues_only_what_is_missing(monkeypatch):
    config = recipe_config("baseline_cnn", DATA)
    handed = []

    def killed(run):
        handed.append(run.id)
        record_finished(run, {"accuracy": 0.5})
        if len(handed) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ablations, "submit", killed)
    with pytest.raises(KeyboardInterrupt):
        ablations.start(config, seeds=2, identifier="mine")
    ablations.start(config, seeds=2, identifier="mine")
    assert len(handed) == len(set(handed)) == len(list_runs()) == 6
    assert [(row.variant, row.planned) for row in ablations.table("mine")] == [
        ("as it is", 2),
        ("with class weights", 2),
        ("without augmentation", 2),
    ]


def test_the_table_has_mean_interval_and_difference(queued):
    identifier = ablations.start(recipe_config("baseline_cnn", DATA), seeds=2)
    values = iter([0.50, 0.54, 0.58, 0.62])
    for run in sorted(list_runs(), key=lambda run: run.created)[:4]:
        record_finished(run, {"accuracy": next(values), "macro_f1": 0.4})
    first, second, *_ = ablations.table(identifier)
    assert first.accuracy == pytest.approx(0.52)
    assert first.difference == 0
    assert second.difference == pytest.approx(0.08)
    # Student's t with one degree of freedom: 12.7062 times 0.0283 / sqrt(2)
    assert first.interval == pytest.approx(12.7062 * 0.02, rel=1e-3)
    assert second.macro_f1 == pytest.approx(0.4)
    assert second.macro_f1_interval == 0
    assert (second.pairs, second.difference_interval) == (2, pytest.approx(0, abs=1e-9))  # 0.08 twice
    assert first.difference_interval is None


def test_without_the_recipe_as_it_is_no_difference_is_shown(queued):
    """Its runs may be in the trash; the next variant does not take its place."""
    identifier = ablations.start(recipe_config("baseline_cnn", DATA), seeds=2)
    for run, accuracy in zip(in_order()[:4], (0.30, 0.34, 0.50, 0.54), strict=True):
        record_finished(run, {"accuracy": accuracy})
    for run in in_order()[:2]:
        remove(run)
    first, second = ablations.table(identifier)
    assert (first.variant, first.accuracy) == ("with class weights", pytest.approx(0.52))
    assert first.interval == pytest.approx(12.7062 * 0.02, rel=1e-3)
    assert (first.difference, first.difference_interval, first.pairs) == (None, None, 0)
    assert second.difference is None


def test_the_recipe_as_it_is_is_the_base_wherever_it_stands(queued):
    """Its runs were removed and, by the job resumed, queued again behind the others."""
    config = recipe_config("baseline_cnn", DATA)
    ablations.start(config, seeds=2, identifier="mine")
    for run in in_order()[:2]:
        remove(run)
    ablations.start(config, seeds=2, identifier="mine")
    later = in_order()[-2:]
    for run, accuracy in zip([*in_order()[:2], *later], (0.50, 0.56, 0.40, 0.44), strict=True):
        record_finished(run, {"accuracy": accuracy})
    weighted, _, base = ablations.table("mine")
    assert (base.variant, base.difference, base.difference_interval) == ("as it is", 0, None)
    assert weighted.difference == pytest.approx(0.11)
    assert weighted.difference_interval == pytest.approx(12.7062 * 0.01, rel=1e-3)


def test_figures_of_validation_images_are_none_of_the_test_images(queued):
    identifier = ablations.start(recipe_config("baseline_cnn", DATA), seeds=1)
    for run, split in zip(in_order(), ({"split": "validation"}, {"split": "test"}, {}), strict=True):
        record_finished(run, {"accuracy": 0.5, "macro_f1": 0.4} | split)
    rows = ablations.table(identifier)
    assert [(row.finished, row.accuracy, row.macro_f1) for row in rows] == [
        (1, None, None),
        (1, 0.5, 0.4),
        (1, 0.5, 0.4),
    ]


def test_remedies_are_judged_on_test_images_only(monkeypatch):
    figures = {"per_class": {"disgust": {"recall": 0.3, "f1": 0.2}}, "macro_f1": 0.4, "accuracy": 0.5}
    monkeypatch.setattr("fer.evaluation.report.run_report", lambda *rest, **named: figures)
    for variant, split in (("as it is", "validation"), ("SMOTE", "test")):
        run = create_run(recipe_config("baseline_cnn", DATA))
        tag(run, [f"{GROUP}{REMEDIES}x", f"variant:{variant}"])
        record_finished(run, {"accuracy": 0.5, "split": split})
    first, second = ablations.remedies_table(f"{REMEDIES}x")
    assert (first.finished, first.recall, first.accuracy) == (1, None, None)
    assert (second.finished, second.recall, second.accuracy) == (1, (0.3, None), (0.5, None))


def test_tags_of_the_user_survive_a_resume(queued):
    config = recipe_config("baseline_cnn", DATA)
    ablations.start(config, seeds=1, identifier="mine")
    first = in_order()[0]
    tag(first, [*first.tags, "keep"])
    ablations.start(config, seeds=1, identifier="mine")
    assert in_order()[0].tags == ("ablation:mine", "variant:as it is", "keep")


def in_order() -> list:
    """Every run, the first first."""
    return sorted(list_runs(), key=lambda run: run.created)


def test_differences_are_of_the_same_seed(queued):
    """A variant's first seed that failed does not shift its difference by the luck of the others' seeds."""
    identifier = ablations.start(recipe_config("baseline_cnn", DATA), seeds=3)
    base, variant = in_order()[:3], in_order()[3:6]
    for run, accuracy in zip(base, (0.30, 0.50, 0.60), strict=True):
        record_finished(run, {"accuracy": accuracy, "accuracy_without_leaks": accuracy - 0.02})
    for run, accuracy in zip(variant[1:], (0.52, 0.64), strict=True):
        record_finished(run, {"accuracy": accuracy})
    first, second, *_ = ablations.table(identifier)
    assert (second.finished, second.planned, second.stopped) == (2, 3, 1)
    assert second.difference == pytest.approx(0.03)  # of 0.02 and 0.04, not 0.58 − 0.4667
    assert second.difference_interval == pytest.approx(12.7062 * 0.01, rel=1e-3)
    assert first.without_leaks == pytest.approx(0.46667 - 0.02, abs=1e-4)
    assert second.without_leaks is None


def test_failed_runs_are_counted(queued, monkeypatch):
    identifier = ablations.start(recipe_config("baseline_cnn", DATA), seeds=1)
    ended = {run.id: state for run, state in zip(in_order(), ("finished", "failed", "killed"), strict=True)}

    class Ended:
        active = False

        def __init__(self, state):
            self.state = state

    monkeypatch.setattr(ablations, "statuses", lambda runs: {r.id: Ended(ended[r.id]) for r in runs})
    assert [(row.finished, row.failed) for row in ablations.table(identifier)] == [(1, 0), (0, 1), (0, 1)]


@pytest.mark.parametrize("prefix", ["", REMEDIES])
def test_ids_of_every_recipe_fit_whole_into_a_tag(prefix):
    for recipe in RECIPES:
        made = {new_identifier(recipe, prefix) for _ in range(20)}
        assert len(made) > 1, recipe
        assert all(len(GROUP + name) <= ablations.LONGEST_TAG for name in made)
        assert all(name.startswith(prefix + recipe[:8]) for name in made)


def test_two_ablations_of_a_long_name_stay_two(queued):
    config = recipe_config("inceptionv3_without_disgust", DATA)
    made = [ablations.start(config, seeds=1) for _ in range(2)]
    assert sorted(ablations.identifiers()) == sorted(made)
    assert [row.planned for row in ablations.table(made[0])] == [1, 1, 1]


def test_ids_of_earlier_versions_are_still_read():
    """They were longer than a tag, which holds their first 31 characters."""
    written = "inceptionv3_without_disg-1121-2105-ab12"
    run = create_run(recipe_config("inceptionv3_without_disgust", DATA), recipe="inceptionv3_without_disgust")
    tag(run, [f"{GROUP}{written}"[:40], "variant:as it is"])
    for name in (written, *ablations.identifiers()):
        assert [row.variant for row in ablations.table(name)] == ["as it is"]


def test_an_ablation_belongs_to_the_recipe_and_data_set_it_began_with(queued):
    """Its last variant is trained on the denoised copy, which is another data set."""
    identifier = ablations.start(recipe_config("cnn4", DATA), seeds=1, denoised="fedcba9876543210")
    assert in_order()[-1].config["dataset"] == "fedcba9876543210"
    assert ablations.known() == [Known(identifier, "cnn4", DATA)]
    *others, copy = in_order()
    for run in others[:-1]:
        remove(run)
    tag(copy, ["a later tag", *copy.tags])
    assert ablations.known() == [Known(identifier, "cnn4", DATA)]
    remove(others[-1])
    assert ablations.known() == [Known(identifier, "cnn4", "fedcba9876543210")]


def test_only_the_denoised_run_that_was_queued_first_does_not_name_the_data_set(queued):
    """The others were removed and queued again by the job resumed."""
    config = recipe_config("cnn4", DATA)
    ablations.start(config, seeds=1, denoised="fedcba9876543210", identifier="mine")
    for run in in_order()[:-1]:
        remove(run)
    ablations.start(config, seeds=1, denoised="fedcba9876543210", identifier="mine")
    assert in_order()[0].config["dataset"] == "fedcba9876543210"
    assert ablations.known() == [Known("mine", "cnn4", DATA)]


def grainy_dataset():
    """70 training and 70 test images of faint noise, which a denoiser changes."""
    images = np.random.default_rng(0).integers(100, 110, (140, 48, 48)).astype(np.uint8)
    names = [f"image {n}" for n in range(140)]
    return save_dataset("grainy", images, np.arange(140) % 7, np.repeat([0, 2], 70), names)


def test_ingredients_are_made_and_then_the_ablation_is_queued(queued, monkeypatch, tmp_path: Path):
    dataset = grainy_dataset()
    config = recipe_config("baseline_cnn", dataset.fingerprint)
    monkeypatch.setattr(ablation_ingredients, "submit", queued.append)
    identifier, job = ablation_ingredients.queue(config, ["denoised", "outliers"], seeds=2)
    assert queued == [job]
    assert ablations.identifiers() == []  # no training before its images are there
    rising = [n / 1000 for n in range(len(dataset))]
    outliers.save_scores(dataset, outliers.Scores("autoencoder", np.array(rising, np.float32), {}))
    found = ablation_ingredients.run(job.config, tmp_path, lambda f, text: None, lambda: False)
    assert found["metrics"]["ablation"] == identifier
    rows = {row.variant: row.planned for row in ablations.table(identifier)}
    assert rows == dict.fromkeys(
        ["as it is", "with class weights", "without augmentation", "outliers removed", "denoised"], 2
    )
    dropped = open_selection(dataset, found["metrics"]["selection"]).decisions
    train = dataset.indices("train")
    assert set(dropped) == set(train[-2:].tolist())  # the two of 70 above the 98th percentile
    copy = in_order()[-1].config["dataset"]
    assert copy == found["metrics"]["denoised"] != dataset.fingerprint
    again = ablation_ingredients.run(job.config, tmp_path, lambda f, text: None, lambda: False)
    assert again["metrics"]["denoised"] == copy  # made once


def test_the_same_job_again_is_another_ablation(queued, monkeypatch):
    monkeypatch.setattr(ablation_ingredients, "submit", queued.append)
    config = recipe_config("baseline_cnn", DATA)
    identifier, job = ablation_ingredients.queue(config, ["denoised"], seeds=1)
    changed = ablation_ingredients.renewed(job)
    assert changed["ablation"] != identifier
    assert changed["ablation"].startswith("baseline_cnn-")
    assert changed | {"ablation": identifier} == job.config
    again = create_run(changed, kind=ablation_ingredients.KIND, recipe=job.recipe)
    assert ablation_ingredients.job_of(changed["ablation"]).id == again.id
    assert ablation_ingredients.job_of(identifier).id == job.id
    assert ablation_ingredients.job_of("another") is None


def test_what_the_ablation_would_refuse_is_refused_before_its_ingredients_are_made(queued):
    config = recipe_config("baseline_cnn", DATA, augmentation="none", smote="some run")
    with pytest.raises(UserError, match="Leave out SMOTE"):
        ablation_ingredients.queue(config, ["denoised"])
    with pytest.raises(UserError, match="500"):
        ablation_ingredients.queue(recipe_config("baseline_cnn", DATA), ["denoised"], seeds=500)
    assert list_runs() == queued == []


def test_a_stopped_job_queues_nothing(queued, monkeypatch, tmp_path: Path):
    dataset = tiny_dataset(per_class=2)
    monkeypatch.setattr(ablation_ingredients, "submit", queued.append)
    config = recipe_config("baseline_cnn", dataset.fingerprint)
    _, job = ablation_ingredients.queue(config, ["denoised"], seeds=1)
    assert ablation_ingredients.run(job.config, tmp_path, lambda f, t: None, lambda: True)["stopped"] is True
    assert ablations.identifiers() == []
