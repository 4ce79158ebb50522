"""A run names the version of what it trains on, so that its command repeats it after an edit."""

import pytest

from fer import ablation_ingredients, seeds
from fer.data.dataset import Dataset
from fer.data.selection import mark
from fer.reproduce import command_line
from fer.runs import create_run
from fer.training.data import load_data
from fer.training.pinning import pinned
from tests.training.conftest import quick


def test_a_selection_is_the_one_of_the_moment(tiny: Dataset):
    mark(tiny, "clean", [0, 1], "drop")
    run = create_run(quick(tiny, selection="clean").to_json())
    mark(tiny, "clean", [2, 3, 4], "drop")
    config = run.train_config()
    assert config.selection == "clean@1"
    assert len(load_data(config).splits["train"]) == 56 - 2
    assert "--set selection=clean@1" in command_line(config)
    assert create_run(quick(tiny, selection="clean").to_json()).train_config().selection == "clean@2"


def test_a_version_that_is_named_stays(tiny: Dataset):
    mark(tiny, "clean", [0], "drop")
    mark(tiny, "clean", [1], "drop")
    assert create_run(quick(tiny, selection="clean@1").to_json()).train_config().selection == "clean@1"


def test_what_is_not_there_is_left_to_the_training(tiny: Dataset):
    for content in ({"selection": "gone"}, {"generated": "gone"}, {"selection": "a"}):
        whole = {"dataset": tiny.fingerprint} | content
        assert pinned(whole) == whole
    assert pinned({"selection": "a"}) == {"selection": "a"}


def test_other_jobs_are_left_alone(tiny: Dataset):
    mark(tiny, "clean", [0], "drop")
    content = {"dataset": tiny.fingerprint, "selection": "clean"}
    assert create_run(content, kind="outliers").config["selection"] == "clean"


def test_seeds_that_are_made_later_train_on_the_same_images(tiny: Dataset):
    mark(tiny, "clean", [0], "drop")
    making = seeds.make(quick(tiny, selection="clean"), 2)
    first = next(making)
    mark(tiny, "clean", [1], "drop")
    assert [run.train_config().selection for run in (first, next(making))] == ["clean@1", "clean@1"]


def test_an_ablation_whose_ingredients_are_made_first_trains_on_the_images_of_the_moment(tiny: Dataset):
    mark(tiny, "clean", [0], "drop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation_ingredients, "submit", lambda run: None)
        _, job = ablation_ingredients.queue(quick(tiny, selection="clean"), ["denoised"])
    assert job.config["training"]["selection"] == "clean@1"
