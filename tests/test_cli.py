"""The command line: one JSON document, one line for an error, the right exit status."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import ablation_ingredients, seeds, storage
from fer.cli import _plain, main
from fer.commands import COMMANDS
from fer.commands.base import as_lines
from fer.data.dataset import open_dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.predictions import Predictions, predictions_path, store_predictions
from fer.evaluation.trained import trained_run
from fer.recipes import recipe_config
from fer.runs import create_run, record_finished, tag
from tests.evaluation.builders import write_facts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny data set in the release's layout: 5 training images and 1 test image a class."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 1)):
        for emotion in EMOTIONS:
            directory = tmp_path / "faces" / split / emotion
            directory.mkdir(parents=True)
            for n in range(count):
                image = generator.integers(0, 256, (48, 48), dtype=np.uint8)
                cv2.imwrite(str(directory / f"{n}.png"), image)
    return tmp_path / "faces"


def test_tables_show_means_with_their_intervals():
    rows = [
        {"variant": "as it is", "finished": 3, "recall": (0.11309, 0.10244), "p": 2.5e-9},
        {"variant": "weights", "finished": 1, "recall": (0.5, None), "p": None},
    ]
    assert as_lines(rows).splitlines() == [
        "variant   finished  recall           p",
        "as it is  3         0.1131 ± 0.1024  2.5e-09",
        "weights   1         0.5              –",
    ]


def test_tables_say_what_plus_or_minus_is(capsys):
    """Standard deviation over seeds, half of the interval in an ablation: the same sign."""
    assert main(["seeds"]) == 0
    assert capsys.readouterr().out.strip() == "none yet"
    for run, accuracy in zip(seeds.make(recipe_config("cnn4", "x"), 2), (0.5, 0.6), strict=True):
        record_finished(tag(run, [*run.tags, "ablation:a", "variant:as it is"]), {"accuracy": accuracy})
    assert main(["seeds"]) == 0
    *_, row, note = capsys.readouterr().out.strip().splitlines()
    assert "0.55 ± 0.07071" in row
    assert note == "mean ± sample standard deviation over the finished seeds, on the test images"
    assert main(["ablation", "a"]) == 0
    *_, row, note = capsys.readouterr().out.strip().splitlines()
    assert "0.6353" in row  # 12.7062 times 0.05
    assert "± and interval: half of the 95 % interval" in note
    assert [one["accuracy"] for one in document(capsys, "ablation", "a")] == [pytest.approx(0.55)]


def test_an_ablation_whose_ingredients_are_being_made_is_not_unknown(monkeypatch, capsys):
    monkeypatch.setattr(ablation_ingredients, "submit", lambda run: None)
    identifier, job = ablation_ingredients.queue(recipe_config("cnn4", "x"), ["denoised"])
    for state in ("queued", "failed"):
        storage.write_json(job.directory / "status.json", {"state": state, "reason": ""})
        assert main(["ablation", identifier]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert f"made first by the job {job.id}, which is {job.status().state!r}" in line
        assert line.endswith(f"python -m fer show {job.id}")
    assert job.status().state == "failed"
    assert main(["ablation", "another"]) == 1
    assert "Unknown ablation 'another'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "epoch", "line"),
    [
        ({"epochs": 16}, 3, ": stopped, epoch 3 of 16."),
        ({}, 5, ": stopped, epoch 5."),  # outliers stop by themselves
        ({}, 0, ": stopped."),
    ],
)
def test_a_run_that_plans_no_epochs_names_no_number_of_them(config, epoch, line, capsys):
    made = create_run(config, kind="outliers")
    storage.write_json(made.directory / "status.json", {"state": "stopped", "reason": ""})
    storage.write_json(made.directory / "progress.json", {"epoch": epoch})
    assert main(["show", made.id]) == 0
    assert capsys.readouterr().out.strip() == made.id + line


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fer", *arguments],
        cwd=storage.PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def document(capsys: pytest.CaptureFixture, *arguments: str) -> object:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_import_lists_counts_and_audits_as_json(folder, capsys):
    imported = document(capsys, "import", str(folder), "--name", "tiny")
    assert imported["counts"]["train"] == dict.fromkeys(EMOTIONS, 5)
    assert imported["quarantined"] == []
    assert imported["seconds"] > 0
    listed = document(capsys, "datasets")
    assert [(row["name"], row["images"], row["dataset"]) for row in listed] == [
        ("tiny", 42, imported["dataset"])
    ]
    statistics = document(capsys, "statistics", "tiny")
    assert statistics["counts"]["test"] == dict.fromkeys(EMOTIONS, 1)
    assert set(statistics["pixels"]["train"]) >= {"mean", "std", "min", "max"}
    audit = document(capsys, "audit", imported["dataset"])
    keys = ("missing_pixels", "constant", "duplicate_groups", "duplicate_images", "leaking_groups")
    assert [audit[key] for key in (*keys, "leaked_test_images", "conflicting_groups")] == [0] * 7


def test_the_same_content_twice_is_one_data_set(folder, capsys):
    first = document(capsys, "import", str(folder), "--name", "one")
    second = document(capsys, "import", str(folder), "--name", "two")
    assert first["dataset"] == second["dataset"]
    assert len(document(capsys, "datasets")) == 1


def test_outliers_become_a_selection(folder, capsys):
    document(capsys, "import", str(folder), "--name", "tiny")
    found = document(
        capsys, "outliers", "tiny", "--detector", "pca", "--percentile", "90", "--selection", "odd"
    )
    assert found["selection"] == "odd@1"
    assert found["flagged"] == len(found["images"]) == 4  # of 35 training images
    (listed,) = document(capsys, "selection", "list", "tiny")
    assert (listed["selection"], listed["drop"]) == ("odd", 4)
    assert main(["outliers", "tiny", "--selection", "../odd"]) == 1
    assert "../odd" in capsys.readouterr().err


def test_a_table_of_groups_is_imported_listed_and_removed(folder, tmp_path, capsys):
    document(capsys, "import", str(folder), "--name", "tiny")
    table = tmp_path / "groups.csv"
    table.write_text("image,glasses\ntest/sad/0.png,yes\ntest/happy/0.png,no\n")
    rows = document(capsys, "attribute", "import", "tiny", "--file", str(table))
    assert rows[-1] == {"attribute": "glasses", "images": 2, "groups": "no, yes"}
    assert [row["attribute"] for row in rows[:-1]] == ["brightness", "contrast", "sharpness", "noise"]
    assert document(capsys, "attribute", "list", "tiny") == rows
    damaged = storage.cache_directory() / "attributes" / open_dataset("tiny").fingerprint / "age.json"
    damaged.write_text("{")
    *others, age, glasses = document(capsys, "attribute", "list", "tiny")
    assert [*others, glasses] == rows
    assert (age["attribute"], age["images"]) == ("age", None)
    assert "damaged" in age["groups"]
    document(capsys, "attribute", "remove", "tiny", "age")
    assert document(capsys, "attribute", "remove", "tiny", "glasses") == rows[:-1]
    for wrong, why in (
        (("import", "tiny", "--file", "nowhere.csv"), "There is no file 'nowhere.csv'"),
        (("import", "tiny"), "Name the CSV file"),
        (("import", "tiny", "glasses", "--file", str(table)), "Leave out 'glasses'"),
        (("remove", "tiny"), "Name the attribute"),
        (("remove", "tiny", "glasses"), "imported attribute 'glasses'"),
    ):
        assert main(["attribute", *wrong]) == 1
        assert why in capsys.readouterr().err


def test_subgroups_of_a_run_are_audited(folder, tmp_path, capsys):
    document(capsys, "import", str(folder), "--name", "tiny")
    dataset = open_dataset("tiny")
    run = storage.cache_directory() / "runs" / "baseline_cnn-x"
    write_facts(run, dataset)
    storage.write_json(run / "status.json", {"state": "finished", "started": 1e9, "ended": 2e9})
    with zipfile.ZipFile(run / "best.keras", "w") as archive:
        archive.writestr("weights", b"never opened: the answers are stored")
    trained = trained_run(run)
    test = dataset.indices("test")
    answers = np.eye(7, dtype=np.float32)[[0, 1, 2, 3, 4, 3, 3]]  # sad and surprise are taken for happy
    found = Predictions(test, answers, dataset.splits[test], trained.stamp, 0.001, 1.0)
    store_predictions(predictions_path(trained, dataset.fingerprint), found)
    audit = document(capsys, "subgroups", "baseline_cnn-x", "--by", "brightness")
    assert sum(row["images"] for row in audit["groups"]) == 7
    assert sum(row["images"] * row["accuracy"] for row in audit["groups"]) == pytest.approx(5)
    assert audit["findings"] == [
        "Nothing can be tested: there is one group only, or the images or mistakes are too few."
    ]
    assert main(["subgroups", "baseline_cnn-x", "--by", "brightness"]) == 0
    shown = capsys.readouterr().out
    assert "lowest quarter" in shown
    assert "Nothing can be tested" in shown
    assert main(["subgroups", "baseline_cnn-x", "baseline_cnn-x", "--by", "brightness"]) == 1
    assert "named twice" in capsys.readouterr().err
    assert main(["subgroups", "baseline_cnn-x", "--by", "age"]) == 1
    assert "attribute 'age'" in capsys.readouterr().err


def test_an_unknown_data_set_is_one_line_and_status_1():
    done = run("statistics", "nothing-like-this", "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "nothing-like-this" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        [],
        ["statistics"],
        ["train", "baseline_cnn"],
        ["train", "x", "--dataset", "d", "--epochs", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_recipes_name_their_model_and_reported_figures(capsys):
    rows = {row["recipe"]: row for row in document(capsys, "recipes")}
    assert rows["baseline_cnn"]["parameters"] == 57_527
    assert rows["baseline_cnn"]["reported"]["accuracy"] == pytest.approx(0.504)
    assert {"unet_attention", "unet_separable", "resnet_se", "vgg", "cct", "hybrid"} <= set(rows)


def test_a_setting_without_equals_sign_is_explained(folder, capsys):
    document(capsys, "import", str(folder), "--name", "tiny")
    assert main(["train", "baseline_cnn", "--dataset", "tiny", "--set", "epochs"]) == 1
    assert "key=value" in capsys.readouterr().err


def test_what_json_cannot_hold_becomes_null_or_text():
    plain = _plain({"a": np.float32(0.5), "b": float("nan"), "c": np.arange(2), "d": Path("x"), 3: {"e"}})
    assert plain == {"a": 0.5, "b": None, "c": [0, 1], "d": "x", "3": ["e"]}


def test_remedies_are_part_of_the_message(monkeypatch, capsys):
    class Remedied(UserError):
        remedy = "Do that."

    def fail(options, progress):
        raise Remedied("This went\nwrong.")

    command = COMMANDS[1]
    monkeypatch.setattr("fer.commands.COMMANDS", (type(command)("datasets", "", fail, str),))
    assert main(["datasets"]) == 1
    assert capsys.readouterr().err == "This went wrong. Do that.\n"


@pytest.fixture
def trained_here(monkeypatch):
    """Runs that were trained in this process, without the training."""
    from fer.runs import files

    done = []

    def finish(run, progress):
        done.append(run)
        metrics = {"accuracy": 0.5 + 0.1 * len(done), "accuracy_without_leaks": 0.5, "macro_f1": 0.4}
        state = "stopped" if len(done) == 4 else "finished"
        record = files.read_record(run.directory)
        files.write_record(run.directory, record | {"state": state, "metrics": metrics})

    monkeypatch.setattr("fer.runs.run_here", finish)
    return done


def test_a_recipe_is_trained_over_several_seeds(folder, capsys, trained_here):
    document(capsys, "import", str(folder), "--name", "tiny")
    arguments = ("train", "baseline_cnn", "--dataset", "tiny", "--name", "mine", "--seed", "7")
    found = document(capsys, *arguments, "--seeds", "3")
    assert [run["name"] for run in found["runs"]] == ["mine seed 7", "mine seed 8", "mine seed 9"]
    assert (found["finished"], found["planned"], found["recipe"]) == (3, 3, "baseline_cnn")
    assert found["accuracy"] == pytest.approx([0.7, 0.1])
    assert found["accuracy_without_leaks"] == [0.5, 0.0]
    (listed,) = document(capsys, "seeds", found["seeds"])
    assert listed == {key: value for key, value in found.items() if key != "runs"}
    assert main(["seeds"]) == 0
    assert "0.7 ± 0.1" in capsys.readouterr().out
    assert main(["seeds", "nothing"]) == 1
    assert found["seeds"] in capsys.readouterr().err
    found = document(capsys, "train", "cnn4", "--dataset", "tiny", "--seeds", "3")
    assert [run["state"] for run in found["runs"]] == ["stopped"]  # Ctrl+C ends all of them


def test_seeds_are_handed_to_the_queue_together(folder, capsys, monkeypatch):
    handed = []
    monkeypatch.setattr("fer.runs.submit", handed.append)
    document(capsys, "import", str(folder), "--name", "tiny")
    found = document(capsys, "train", "baseline_cnn", "--dataset", "tiny", "--seeds", "2", "--background")
    assert [run.id for run in handed] == [run["run"] for run in found["runs"]]
    assert (found["finished"], found["planned"], found["accuracy"]) == (0, 2, None)
    assert main(["train", "baseline_cnn", "--dataset", "tiny", "--seeds", "0"]) == 1
    assert "1 to 100" in capsys.readouterr().err
