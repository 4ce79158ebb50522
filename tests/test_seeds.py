"""Several seeds of one training: how their runs are made, tagged, found and summed up."""

from dataclasses import replace

import pytest

from fer import seeds
from fer.errors import UnknownName, UserError
from fer.recipes import recipe_config
from fer.runs import create_run, files, list_runs, tag


def finish(run, **metrics):
    files.write_record(
        run.directory, files.read_record(run.directory) | {"state": "finished", "metrics": metrics}
    )


def test_runs_differ_in_their_seed_and_share_a_tag():
    config = recipe_config("inceptionv3_without_disgust", "x", seed="4")
    made = list(seeds.make(config, 3, "mine"))
    assert [run.name for run in made] == ["mine seed 4", "mine seed 5", "mine seed 6"]
    assert [run.config["seed"] for run in made] == [4, 5, 6]
    assert len({str(run.config | {"seed": 0}) for run in made}) == 1
    (text,) = {text for run in made for text in run.tags}
    assert len(text) <= 40
    assert text == f"seeds:{seeds.group_of(made[0])}"
    other = list(seeds.make(config, 1))
    assert seeds.group_of(other[0]) != seeds.group_of(made[0])


def test_each_run_is_made_when_it_is_asked_for():
    making = seeds.make(recipe_config("baseline_cnn", "x"), 5)
    next(making)
    next(making)
    assert len(list_runs()) == 2
    with pytest.raises(UserError, match="1 to 100"):
        list(seeds.make(recipe_config("baseline_cnn", "x"), 0))


def test_a_wish_made_twice_gives_the_same_runs():
    config = recipe_config("baseline_cnn", "x")
    first, again = (list(seeds.make(config, 3, "mine", repeat_after=5)) for _ in range(2))
    assert [run.id for run in first] == [run.id for run in again]
    assert len(list_runs()) == 3
    assert len(seeds.groups()) == 1


def test_a_name_that_a_later_seed_would_take_twice_is_said_before_any_run_is_made():
    config = recipe_config("baseline_cnn", "x")
    list(seeds.make(replace(config, seed=1), 1, "mine"))
    for again in (0, 5):
        with pytest.raises(UserError, match="'mine seed 1'"):
            list(seeds.make(config, 3, "mine", repeat_after=again))
    assert len(list_runs()) == 1


def test_mean_and_sample_deviation_of_the_finished_runs():
    made = list(seeds.make(recipe_config("baseline_cnn", "x"), 4))
    (spread,) = seeds.spreads()
    assert (spread.finished, spread.planned, spread.accuracy, spread.macro_f1) == (0, 4, None, None)
    finish(made[0], accuracy=0.5, accuracy_without_leaks=0.4, macro_f1=0.3)
    (spread,) = seeds.spreads(seeds.group_of(made[0]))
    assert (spread.finished, spread.accuracy) == (1, (0.5, None))
    finish(made[1], accuracy=0.6, accuracy_without_leaks=0.5)
    finish(made[2], accuracy=0.7, accuracy_without_leaks=None, macro_f1=0.5)
    tag(made[3], ["other"])  # taken out of the group
    (spread,) = seeds.spreads()
    assert (spread.finished, spread.planned, spread.recipe) == (3, 3, "baseline_cnn")
    assert spread.accuracy == pytest.approx((0.6, 0.1))
    assert spread.accuracy_without_leaks == pytest.approx((0.45, 0.005**0.5))
    assert spread.macro_f1 == pytest.approx((0.4, 0.02**0.5))


def test_figures_of_validation_images_are_left_out():
    """A data set without test images: what was measured is no test accuracy."""
    made = list(seeds.make(recipe_config("baseline_cnn", "x"), 2))
    finish(made[0], accuracy=0.9, macro_f1=0.9, split="validation")
    (spread,) = seeds.spreads()
    assert (spread.finished, spread.accuracy, spread.macro_f1) == (1, None, None)
    assert seeds.finished_figures(made) == {made[0].id: {}}
    finish(made[1], accuracy=0.5, split="test")
    assert seeds.spreads()[0].accuracy == (0.5, None)


def test_an_unknown_group_is_said_with_those_there_are():
    create_run(recipe_config("baseline_cnn", "x"), recipe="baseline_cnn")
    assert seeds.spreads() == []
    (made,) = seeds.make(recipe_config("cnn4", "x"), 1)
    with pytest.raises(UnknownName, match=seeds.group_of(made)):
        seeds.spreads("cnn4-x")
