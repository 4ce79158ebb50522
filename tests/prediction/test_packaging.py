"""A finished run becomes the starter: small, calibrated, without a face in it, and a run like any other."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from fer import cli, runs, storage
from fer.data.dataset import save_dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.calibration import apply_temperature, expected_calibration_error
from fer.evaluation.predictions import evaluate_run
from fer.evaluation.trained import TrainedRun
from fer.prediction import Predictor, packaging
from fer.prediction.packaging import halve_weights, package_run, read_card


@pytest.fixture(scope="module")
def run(demo_dataset):
    """Two short epochs on the demo faces, trained by the code users run."""
    from fer.recipes import recipe_config

    settings = {"epochs": "2", "limit": "300", "seed": "5", "precision": "float32"}  # on every processor
    config = recipe_config("baseline_cnn", demo_dataset.fingerprint, **settings)
    made = runs.create_run(config.to_json(), name="to be shipped", recipe="baseline_cnn")
    runs.run_here(made)
    assert made.status().state == "finished", made.status()
    return made


@pytest.fixture(scope="module")
def packaged(run, tmp_path_factory):
    target = tmp_path_factory.mktemp("packaged") / "starter"
    return target, package_run(run, target)


@pytest.fixture
def starter(packaged, demo_dataset, tmp_path, monkeypatch):
    """A copy of the packaged folder that this test's programs take for the shipped one."""
    folder = shutil.copytree(packaged[0], tmp_path / "starter")
    monkeypatch.setenv("FER_STARTER", str(folder))
    return folder


def command(capsys, *words):
    assert cli.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_folder_has_a_run_and_a_card_and_no_face(packaged, demo_dataset):
    folder, result = packaged
    names = {path.name for path in folder.iterdir()}
    assert {"best.keras", "config.json", "model.json", "hashes.npy", "splits.npz"} <= names
    assert {"calibration.json", "MODEL_CARD.md", "model_card.json"} <= names
    assert result["bytes"] <= packaging.LARGEST
    content = b""
    for path in folder.iterdir():
        content += path.read_bytes()
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                content += b"".join(archive.read(name) for name in archive.namelist())
    for index in (0, 10, len(demo_dataset) - 1):
        rows = demo_dataset.images[index][10:30].tobytes()
        assert rows not in content
        for row in demo_dataset.images[index]:
            assert row.tobytes() not in content or len(set(row.tolist())) < 8


def test_the_card_says_what_it_is_worth(packaged, run, demo_dataset):
    folder, result = packaged
    card = read_card(folder)
    assert set(card["scores"]) == {"PublicTest", "PrivateTest"}
    for score in card["scores"].values():
        low, high = score["interval"]
        assert low < score["accuracy"] < high
        low, high = score["interval_without_leaks"]
        assert low < score["accuracy_without_leaks"] < high
        assert list(score["recall"]) == list(EMOTIONS)
        assert score["leaked"] > 0
    indices = TrainedRun(run.directory).indices(demo_dataset, "validation")
    labels = demo_dataset.labels[indices]
    before = evaluate_run(run, demo_dataset, ("validation",)).of(indices)
    after = apply_temperature(before, result["temperature"])
    # T minimises the log loss; the calibration error mostly follows, but on few images it need not.
    for name, probabilities in (("before", before), ("after", after)):
        error = expected_calibration_error(labels, probabilities)
        assert card["validation"][f"ece_{name}"] == pytest.approx(error, abs=1e-3)
    chosen = np.arange(len(labels))
    assert np.log(after[chosen, labels]).mean() > np.log(before[chosen, labels]).mean()
    assert card["command"].startswith("python -m fer train baseline_cnn")
    assert "seed=5" in card["command"]
    assert card["config"] == run.config
    text = (folder / "MODEL_CARD.md").read_text()
    for heading in ("Data", "Protocol", "Accuracy", "Calibration", "Speed", "Limits", "Responsible use"):
        assert f"## {heading}" in text
    assert f"{card['scores']['PublicTest']['accuracy']:.1%}" in text
    assert card["command"] in text


def test_the_network_itself_is_calibrated(packaged, run, demo_dataset):
    folder, result = packaged
    indices = TrainedRun(run.directory).indices(demo_dataset, "test")
    before = evaluate_run(run, demo_dataset, ("test",)).of(indices)
    after = Predictor([folder]).predict_crops(demo_dataset.images[indices])[0]
    assert abs(result["temperature"] - 1) > 0.01  # or this test would see nothing
    np.testing.assert_allclose(after, apply_temperature(before, result["temperature"]), atol=1e-4)
    assert json.loads((folder / "calibration.json").read_text())["temperature"] == 1.0


def test_the_temperature_comes_from_validation_alone(run, demo_dataset, monkeypatch):
    asked = []
    original = packaging.evaluate_run

    def watched(trained, dataset, splits):
        asked.append(splits)
        return original(trained, dataset, splits)

    monkeypatch.setattr(packaging, "evaluate_run", watched)
    fitted = packaging.fitted_temperature(TrainedRun(run.directory))
    assert asked == [("validation",)]
    assert fitted["images"] == len(TrainedRun(run.directory).splits["validation"])


def test_it_is_a_run_and_nothing_is_written_beside_it(starter, demo_dataset, capsys):
    before = {path: path.stat().st_mtime_ns for path in starter.rglob("*")}
    opened = runs.open_run("starter")
    assert opened.name == "starter (shipped)"
    assert [r.id for r in runs.shipped_runs()] == ["starter"]
    private = command(capsys, "evaluate", "starter", "--split", "PrivateTest")
    assert private["accuracy"] == pytest.approx(
        read_card(starter)["scores"]["PrivateTest"]["accuracy"], abs=1e-9
    )
    validation = command(capsys, "evaluate", "starter", "--split", "validation")
    assert validation["images"] > 100
    assert {path: path.stat().st_mtime_ns for path in starter.rglob("*")} == before
    assert list((storage.cache_directory() / "shipped").glob("starter-*/predictions.npz"))


def test_its_leaks_are_told_on_data_it_never_met(starter, demo_dataset, capsys):
    """Another import of the same faces: five of its training images are test images there."""
    splits = TrainedRun(starter).splits
    new = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    images = np.concatenate([demo_dataset.images[splits["train"][:5]], new])
    labels = np.arange(45) % 7
    names = [f"test/{EMOTIONS[label]}/PrivateTest_{n}.jpg" for n, label in enumerate(labels)]
    save_dataset("elsewhere", images, labels, np.full(45, 2), names)
    report = command(capsys, "evaluate", "starter", "--dataset", "elsewhere", "--split", "PrivateTest")
    assert (report["images"], report["leaked"]) == (45, 5)
    assert report["accuracy_without_leaks"] is not None


def test_it_is_compared_on_the_data_of_the_others(starter, run, demo_dataset, cache, capsys):
    shutil.copytree(run.directory, cache / "runs" / run.id)
    result = command(capsys, "compare", "starter", run.id, "--split", "PublicTest")
    assert [row["run"] for row in result["runs"]] == ["starter", run.id]
    assert result["runs"][0]["accuracy"] == pytest.approx(result["runs"][1]["accuracy"], abs=0.01)
    assert len(result["tests"]) == 1


def test_half_precision_halves_the_file_and_hardly_an_answer(packaged, run, demo_dataset, tmp_path):
    target = tmp_path / "half"
    result = package_run(run, target, precision="float16")
    full, half = (folder / "best.keras" for folder in (packaged[0], target))
    assert result["precision"] == "float16"
    assert half.stat().st_size < 0.75 * full.stat().st_size
    score = result["card"]["scores"]["PublicTest"]
    assert 1e-7 < score["largest_difference"] < 5e-3
    assert score["changed_answers"] <= 3


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    import keras

    from fer.models.loading import save_model

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.full((2, 2), 1e6, np.float32), np.zeros(2, np.float32)])
    save_model(model, tmp_path / "large.keras")
    before = (tmp_path / "large.keras").read_bytes()
    with np.errstate(over="ignore"), pytest.raises(UserError, match="float32"):
        halve_weights(tmp_path / "large.keras")
    assert (tmp_path / "large.keras").read_bytes() == before


def test_a_run_on_all_images_takes_its_temperature_from_a_sibling(run, demo_dataset, cache, tmp_path):
    everything = shutil.copytree(run.directory, cache / "runs" / "refitted")
    splits = TrainedRun(run.directory).splits
    both = np.union1d(splits["train"], splits["validation"])
    np.savez(everything / "splits.npz", train=both, validation=both[:0], test=splits["test"])
    with pytest.raises(UserError, match="--temperature-from"):
        package_run(everything, tmp_path / "starter")
    assert not (tmp_path / "starter").exists()
    result = package_run(everything, tmp_path / "starter", temperature_from=run)
    assert result["card"]["own_validation"] is False
    text = (tmp_path / "starter" / "MODEL_CARD.md").read_text()
    assert "saw its recipe's validation images too" in text
    assert f"--temperature-from '{run.name}'" in text


def test_too_large_a_starter_leaves_the_old_one(packaged, run, demo_dataset, tmp_path, monkeypatch):
    target = shutil.copytree(packaged[0], tmp_path / "starter")
    monkeypatch.setattr(packaging, "LARGEST", 200_000)
    with pytest.raises(UserError, match="limit"):
        package_run(run, target)
    assert read_card(target) == read_card(packaged[0])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_something_else_is_not_replaced(run, demo_dataset, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="something else"):
        package_run(run, tmp_path / "photos")
    assert (tmp_path / "photos" / "me.jpg").exists()
