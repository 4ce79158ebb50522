"""Cache entries of an older or newer version of the program are made again or refused, never misread."""

import json
import sqlite3

import numpy as np
import pytest

from fer import leftovers, storage
from fer.analysis.statistics import statistics
from fer.augmentation import list_presets
from fer.augmentation.config import AugmentationConfig
from fer.augmentation.presets import save_preset
from fer.data.audit import audit
from fer.data.dataset import list_datasets, open_dataset, save_dataset
from fer.data.selection import mark, open_selection
from fer.doctor import problems
from fer.errors import UserError
from fer.evaluation.predictions import Predictions, load_predictions, store_predictions
from fer.runs import create_run, list_runs, queue
from fer.runs.files import read_record

OTHERS = (0, 2, 99)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files is this test's own: the real one has leftovers of other programs."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(leftovers.tempfile, "gettempdir", lambda: str(folder))


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)
    names = [f"train/{n}.jpg" for n in range(14)]
    return save_dataset("faces", images, np.arange(14) % 7, np.zeros(14), names)


def change(path, **values) -> None:
    storage.write_json(path, storage.read_json(path) | values)


@pytest.mark.parametrize("version", OTHERS)
def test_a_data_set_of_another_format_is_not_opened_and_the_doctor_says_so(version, dataset):
    change(dataset.directory / "meta.json", format=version)
    assert list_datasets() == []
    with pytest.raises(UserError, match="Unknown data set"):
        open_dataset("faces")
    (problem,) = (p for p in problems() if p.path)
    assert f"format {version}; this version reads 1" in problem.what
    assert not problem.cleanable


@pytest.mark.parametrize("version", OTHERS)
def test_a_run_of_another_format_is_listed_as_damaged(version):
    run = create_run({"epochs": 1}, kind="estimate")
    change(run.directory / "config.json", format=version)
    (listed,) = list_runs()
    assert f"format {version}; this version reads 1" in listed.damaged
    assert listed.status().state == "failed"
    assert any(listed.damaged in problem.what for problem in problems())


@pytest.mark.parametrize("version", OTHERS)
def test_a_status_of_another_format_is_not_believed(version):
    run = create_run({"epochs": 1}, kind="estimate")
    change(run.directory / "status.json", format=version, state="finished")
    assert read_record(run.directory) == {"state": "damaged"}
    assert run.status().state == "failed"


def test_a_queue_of_a_newer_version_is_left_alone():
    create_run({"epochs": 1}, kind="estimate")
    with sqlite3.connect(queue.path()) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = queue.path().read_bytes()
    with pytest.raises(UserError, match="newer version of this program"):
        create_run({"epochs": 1}, kind="estimate")
    assert queue.path().read_bytes() == before


def test_a_selection_of_another_format_is_refused(dataset):
    mark(dataset, "mine", [0], "drop")
    files = (path for path in (storage.cache_directory() / "selections").rglob("*") if path.is_file())
    (file,) = (path for path in files if path.read_text().startswith('{"format"'))
    first, _, rest = file.read_text().partition("\n")
    file.write_text(json.dumps(json.loads(first) | {"format": 2}) + "\n" + rest)
    with pytest.raises(UserError, match="format 2"):
        open_selection(dataset, "mine")


@pytest.mark.parametrize("version", OTHERS)
def test_derived_figures_of_another_version_are_computed_again(version, dataset):
    for compute, name in ((statistics, "statistics.json"), (audit, "audit.json")):
        right = compute(dataset)
        path = dataset.derived(name)
        change(path, version=version, **dict.fromkeys(storage.read_json(path).keys() - {"version"}))
        assert compute(dataset) == right


def test_a_preset_of_another_format_is_left_out(cache):
    save_preset("mine", AugmentationConfig(rotation=5))
    assert list_presets()["mine"].rotation == 5
    change(cache / "presets" / "mine.json", format=2)
    assert "mine" not in list_presets()
    storage.write_json(cache / "presets" / "mine.json", AugmentationConfig(rotation=7).to_json())
    assert list_presets()["mine"].rotation == 7  # written before presets said their format


def test_predictions_of_another_format_are_made_again(tmp_path, monkeypatch):
    import zipfile

    from fer.evaluation import predictions
    from fer.evaluation.trained import trained_run

    with zipfile.ZipFile(tmp_path / "best.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    run = trained_run(tmp_path)
    answers = np.full((2, 7), 1 / 7, np.float32)
    content = Predictions(np.arange(2), answers, np.zeros(2, np.uint8), stamp=run.stamp)
    store_predictions(tmp_path / "predictions-x.npz", content)
    assert load_predictions(run, "x") is not None
    monkeypatch.setattr(predictions, "FORMAT", 2)
    assert load_predictions(run, "x") is None
