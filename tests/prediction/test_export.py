"""An exported network answers as the run does; one that would not is not written."""

import importlib.util

import numpy as np
import pytest

from fer.errors import UserError
from fer.prediction import Predictor, export
from fer.prediction.export import export_run

from .test_predictor import make_run

onnx = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None or importlib.util.find_spec("onnxruntime") is None,
    reason="needs the optional packages tf2onnx and onnxruntime",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("export") / "small", seed=3)


def test_a_keras_file_can_be_used_as_a_run_again(run, tmp_path):
    result = export_run(run, tmp_path / "again" / "best.keras")
    assert result["max_difference"] <= 1e-4
    crops = np.random.default_rng(1).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    again = Predictor([tmp_path / "again"]).predict_crops(crops)
    np.testing.assert_allclose(again, Predictor([run]).predict_crops(crops), atol=1e-6)


@onnx
@pytest.mark.filterwarnings("ignore")  # of tf2onnx and NumPy, not ours
def test_an_onnx_file_answers_the_same(run, tmp_path):
    import onnxruntime

    result = export_run(run, tmp_path / "small.onnx", "onnx")
    assert result["max_difference"] <= 1e-4
    assert result["bytes"] == (tmp_path / "small.onnx").stat().st_size
    crops = np.random.default_rng(1).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: crops[..., None].astype(np.float32) / 255}
    np.testing.assert_allclose(
        session.run(None, inputs)[0], Predictor([run]).predict_crops(crops)[0], atol=1e-4
    )


def test_a_file_that_differs_too_much_is_not_written(run, tmp_path, monkeypatch):
    target = tmp_path / "best.keras"
    target.write_bytes(b"older")
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(UserError, match="nothing was written"):
        export_run(run, target)
    assert target.read_bytes() == b"older"


def test_missing_packages_and_unknown_formats_are_said(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="keras, onnx"):
        export_run(run, tmp_path / "a.h5", "h5")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        export_run(run, tmp_path / "a.onnx", "onnx")
    assert list(tmp_path.glob("*.onnx")) == []
