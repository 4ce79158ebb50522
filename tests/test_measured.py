"""Which runs measure a recipe, what differs in the others, and their mean, interval and best."""

import pytest

from fer import storage
from fer.means import Difference, difference, half_width
from fer.measured import AS_IT_STANDS, differences, in_words, main_figure, measured
from fer.recipes import RECIPES, recipe_config
from fer.runs import create_run, record_finished

DATA = "0123456789abcdef"


def finished(recipe: str, accuracy: float, data: str = DATA, split: str = "test", **settings: str):
    """A finished training of a recipe, with some settings changed."""
    run = create_run(recipe_config(recipe, data, **settings), recipe=recipe)
    metrics = {"accuracy": accuracy, "accuracy_without_leaks": accuracy - 0.02, "split": split}
    record_finished(run, metrics | {"macro_f1": accuracy - 0.1, "balanced_accuracy": accuracy - 0.05})
    return run


def test_seed_device_and_compilation_leave_the_experiment_as_it_is():
    assert differences(finished("baseline_cnn", 0.5)) == {}
    assert differences(finished("baseline_cnn", 0.5, seed="7", device="cpu", jit="true")) == {}


@pytest.mark.parametrize(
    "setting",
    [{"epochs": "3"}, {"limit": "100"}, {"class_weights": "balanced"}, {"augmentation": "A"},
     {"selection": "clean"}, {"split.validation_fraction": "0.1"}, {"batch_size": "32"},
     {"precision": "float32"}],
    ids=str,
)  # fmt: skip
def test_any_other_setting_makes_it_another_experiment(setting):
    run = finished("baseline_cnn", 0.9, **setting)
    assert all(key.partition(".")[0] in (*setting, "phases", "split") for key in differences(run))
    assert differences(run)
    assert measured(DATA)["baseline_cnn"].main is None


def test_only_finished_trainings_of_this_data_set_scored_on_test_count():
    finished("baseline_cnn", 0.9, data="fedcba9876543210")
    finished("baseline_cnn", 0.9, split="validation")
    create_run(recipe_config("baseline_cnn", DATA), recipe="baseline_cnn")  # never started
    assert measured(DATA) == {}


def test_mean_interval_and_best_over_the_seeds():
    runs = [finished("baseline_cnn", accuracy, seed=str(n)) for n, accuracy in enumerate((0.50, 0.54))]
    group = measured(DATA)["baseline_cnn"].main
    assert (group.how, [run.run for run in group.runs]) == (AS_IT_STANDS, [runs[1].id, runs[0].id])
    assert group.mean() == pytest.approx(0.52)
    assert group.best() == 0.54
    # Student's t with one degree of freedom: 12.7062 times 0.0283 / sqrt(2)
    assert group.interval() == pytest.approx(12.7062 * 0.02, rel=1e-3)
    assert group.mean("accuracy_without_leaks") == pytest.approx(0.50)
    finished("cnn4", 0.6)
    assert measured(DATA)["cnn4"].main.interval() is None


def test_repeats_of_a_seed_are_one_observation():
    for _ in range(3):
        finished("baseline_cnn", 0.56, seed="0")
    group = measured(DATA)["baseline_cnn"].main
    assert (len(group.runs), group.seeds, group.interval()) == (3, 1, None)
    finished("baseline_cnn", 0.50, seed="0")
    finished("baseline_cnn", 0.515, seed="1")
    group = measured(DATA)["baseline_cnn"].main
    assert (len(group.runs), group.seeds, group.best()) == (5, 2, 0.56)
    assert group.values("accuracy") == pytest.approx([0.545, 0.515])
    assert group.mean() == pytest.approx(0.53)
    assert group.interval() == pytest.approx(12.7062 * 0.015, rel=1e-3)


def test_the_best_run_is_the_one_by_the_figure_of_the_recipe():
    balanced = {"accuracy": 0.6, "balanced_accuracy": 0.59, "split": "test"}
    first = finished("hybrid", 0.62)  # its balanced accuracy is 0.57
    second = create_run(recipe_config("hybrid", DATA, seed="1"), recipe="hybrid")
    record_finished(second, balanced)
    group = measured(DATA)["hybrid"].main
    assert [run.run for run in group.runs] == [second.id, first.id]
    assert group.best("balanced_accuracy") == 0.59


def test_a_selection_repeats_study_a_where_the_recipe_says_so():
    finished("unet_attention", 0.6, selection="clean@3")
    finished("cnn4", 0.6, selection="clean@3")  # study C trained on all images
    found = measured(DATA)
    assert [group.how for group in found["unet_attention"].others] == ["selection clean@3"]
    assert found["unet_attention"].main is None
    assert found["cnn4"].others == ()
    finished("unet_attention", 0.5)
    finished("unet_attention", 0.7, selection="clean@3")
    finished("unet_attention", 0.4, selection="clean@4")  # other images
    standing = measured(DATA)["unet_attention"]
    assert len(standing.main.runs) == 1
    hows = [(group.how, len(group.runs)) for group in standing.others]
    assert hows == [("selection clean@3", 2), ("selection clean@4", 1)]


def test_the_version_that_an_old_run_used_is_the_one_it_recorded():
    finished("unet_attention", 0.6, selection="clean@3")
    old = finished("unet_attention", 0.5, seed="1", selection="clean")
    storage.write_json(old.directory / "environment.json", {"selection": "clean@3"})
    (group,) = measured(DATA)["unet_attention"].others
    assert (group.how, len(group.runs)) == ("selection clean@3", 2)


def test_study_c_is_repeated_by_its_split():
    finished("cnn4", 0.63, **{"split.scheme": "64/16/20"})
    finished("baseline_cnn", 0.6, **{"split.scheme": "64/16/20"})
    found = measured(DATA)
    assert found["cnn4"].main is None
    assert [group.how for group in found["cnn4"].others] == ["64/16/20, other test images"]
    assert found["baseline_cnn"].others == ()


def test_the_nearest_run_has_the_fewest_changes_and_says_them():
    finished("resnet_se", 0.7, settle="false", epochs="5")
    finished("resnet_se", 0.66, settle="false")
    best = finished("resnet_se", 0.682, settle="false")
    standing = measured(DATA)["resnet_se"]
    assert standing.main is None
    assert (standing.nearest.run, standing.nearest.changed) == (best.id, "settle off")


def test_changes_in_words():
    found = {"settle": "false", "phases.0.epochs": "5", "split.per_class": "30", "augmentation": "x" * 50}
    assert in_words(found) == "settle off, epochs 5, per class 30, other augmentation"
    assert in_words({"phases.1.learning_rate": "0.1"}, phases=2) == "phase 2 learning rate 0.1"


@pytest.mark.parametrize(
    ("recipe", "figure"),
    [("baseline_cnn", "accuracy"), ("hybrid", "balanced_accuracy"), ("hybrid_mobilenetv3small", "macro_f1"),
     ("hybrid_efficientnetb3", "kappa"), ("cct", "accuracy")],
)  # fmt: skip
def test_a_recipe_is_judged_by_what_its_study_reports(recipe, figure):
    assert main_figure(RECIPES[recipe]) == figure


def test_difference_pairs_runs_of_the_same_seed():
    found = difference([(0, 0.62), (1, 0.58), (5, 0.9)], [(1, 0.55), (0, 0.60)])
    # 0.02 and 0.03: mean 0.025, and Student's t with one degree of freedom times 0.00707 / sqrt(2)
    assert (found.value, found.pairs) == (pytest.approx(0.025), 2)
    assert found.interval == pytest.approx(12.7062 * 0.005, rel=1e-3)


def test_difference_takes_repeats_of_a_seed_as_one_observation():
    found = difference([(0, 0.60), (0, 0.64), (1, 0.58)], [(1, 0.55), (0, 0.60), (0, 0.60)])
    assert (found.value, found.pairs) == (pytest.approx(0.025), 2)
    apart = difference([(0, 0.60), (0, 0.64)], [(1, 0.55), (2, 0.57)])
    assert (apart.pairs, apart.interval) == (0, None)  # one seed on a side has no spread


def test_difference_without_common_seeds_is_welchs():
    """Against scipy's own test of the same numbers."""
    from scipy.stats import ttest_ind

    mine, base = [0.60, 0.62, 0.61], [0.50, 0.58]
    found = difference([(n, value) for n, value in enumerate(mine)], [(9 + n, v) for n, v in enumerate(base)])
    low, high = ttest_ind(mine, base, equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(0.07)
    assert found.pairs == 0
    assert found.interval == pytest.approx((high - low) / 2)


def test_difference_of_single_and_of_no_runs():
    assert difference([(0, 0.6)], [(0, 0.5)]) == Difference(pytest.approx(0.1), None, 1)
    assert difference([], [(0, 0.5)]) is None
    assert half_width([0.5]) is None
