"""Devices without TensorFlow, and reasons when a GPU cannot be used."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from fer import backend
from fer.training.errors import DeviceError, OutOfMemory, explain

posix = pytest.mark.skipif(sys.platform == "win32", reason="writes a shell script as nvidia-smi")


@pytest.fixture
def fake_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `nvidia-smi` that lists two GPUs."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, NVIDIA H200, 143771'\necho '1, NVIDIA T4, 15360'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_processor_is_always_there():
    first = backend.devices()[0]
    assert first.name == "cpu"
    assert "cores" in first.title
    assert first.memory > 2**28


@posix
@pytest.mark.usefixtures("fake_tool")
def test_gpus_from_the_driver_tool(monkeypatch: pytest.MonkeyPatch):
    first, second = backend.devices()[1:]
    assert (first.name, first.title, first.memory) == ("gpu:0", "NVIDIA H200", 143771 * 2**20)
    assert (second.name, second.problem) == ("gpu:1", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    _, first, second = backend.devices()
    assert "CUDA_VISIBLE_DEVICES='1' hides it" in first.problem
    assert second.problem == ""


def test_gpus_from_the_kernel_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "gpus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA A100\nIRQ: 1\n")
    monkeypatch.setattr(backend, "NVIDIA_FOLDER", folder.parent)
    monkeypatch.setattr(backend.shutil, "which", lambda _: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [(d.name, d.title) for d in backend.devices()[1:]] == [("gpu:0", "NVIDIA A100")]


def test_no_driver_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backend, "_nvidia_devices", lambda: [])
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        backend.select_device("gpu:0")


@posix
@pytest.mark.usefixtures("fake_tool")
def test_hidden_or_unusable_gpus_are_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES='-1' hides it"):
        backend.select_device("gpu:0")
    with pytest.raises(DeviceError, match="has 2 NVIDIA GPUs, numbered from 0"):
        backend.select_device("gpu:5")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(DeviceError, match=r"NVIDIA H200|without CUDA"):
        backend.select_device("gpu:0")
    assert backend.select_device("auto") == "cpu"


def test_precision(monkeypatch: pytest.MonkeyPatch):
    for native, expected in ((True, "mixed_bfloat16"), (False, "float32")):
        monkeypatch.setattr(backend, "processor_has_bfloat16", lambda native=native: native)
        assert backend.choose_precision("auto", "cpu") == expected
    monkeypatch.setattr(backend, "processor_has_bfloat16", lambda: True)
    assert backend.choose_precision("auto", "cpu", deterministic=True) == "float32"
    assert backend.choose_precision("float16", "cpu") == "mixed_float16"


def test_compiled_functions_compute():
    double = backend.compiled(lambda values: values * 2)
    np.testing.assert_array_equal(np.asarray(double(np.arange(3.0))), [0, 2, 4])


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), RuntimeError("CUDA out of memory")],
)
def test_memory_errors_are_recognised(error: Exception):
    explained = explain(error, 64)
    assert isinstance(explained, OutOfMemory)
    assert explained.settings == {"batch_size": 32}
    assert explain(ValueError("x"), 64).args == ("x",)
    assert explain(error, 1).settings == {}
