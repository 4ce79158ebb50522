"""Reading and writing model files."""

import zipfile

import keras
import pytest

from fer.errors import UserError
from fer.models import MODELS, loading
from fer.models.loading import load_model, save_model


@pytest.fixture(scope="module")
def baseline():
    return MODELS["baseline_cnn"].build()


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"no model file .*gone\.keras"):
        load_model(tmp_path / "gone.keras")


def test_damaged_files(tmp_path, baseline):
    path = tmp_path / "model.keras"
    save_model(baseline, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            load_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"module": "keras", "class_name": "Functional", "config": {}}')
    with pytest.raises(UserError, match="cannot be read"):
        load_model(path)


def test_a_file_that_unpacks_to_too_much_is_refused_before_reading(tmp_path, baseline, monkeypatch):
    path = tmp_path / "model.keras"
    save_model(baseline, path)
    monkeypatch.setattr(loading, "CONFIG_LIMIT", 100)
    with pytest.raises(UserError, match="unpacks to"):
        load_model(path)


def test_code_in_a_file_does_not_run(tmp_path):
    inputs = keras.Input((48, 48, 1))
    hostile = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    hostile.save(tmp_path / "hostile.keras")
    with pytest.raises(UserError, match="cannot be read"):
        load_model(tmp_path / "hostile.keras")


def test_an_interrupted_save_keeps_the_old_file(tmp_path, baseline, monkeypatch):
    path = tmp_path / "model.keras"
    save_model(baseline, path)
    old = path.read_bytes()

    def interrupted(target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(baseline, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(baseline, path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["model.keras"]
