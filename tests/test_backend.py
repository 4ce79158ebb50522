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


FLAGS = "fpu sse4_2 avx2 avx512f avx512bw avx512_vnni"


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        (f"{FLAGS} avx512_bf16", True),
        (f"{FLAGS} amx_bf16 amx_tile amx_int8", True),
        (f"{FLAGS} amx_tile amx_int8 avx512_fp16", False),
        (FLAGS, False),
        (None, False),  # no such file, as on macOS and Windows
    ],
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_processors_flags_choose_the_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, native: bool, deterministic: bool
):
    """`auto` is bfloat16 exactly where the processor multiplies it and nothing has to repeat bit by bit."""
    file = tmp_path / "cpuinfo"
    if flags is not None:
        core = f"vendor_id\t: GenuineIntel\nmodel name\t: Some CPU\nflags\t\t: {flags}\nbugs\t\t: none\n"
        file.write_text(f"processor\t: 0\n{core}\nprocessor\t: 1\n{core}")
    asked: list[str] = []
    monkeypatch.setattr(backend, "Path", lambda name: asked.append(name) or file)
    monkeypatch.setattr(backend, "_gpu_has_bfloat16", lambda device: pytest.fail("asked a GPU"))
    assert backend.processor_has_bfloat16() is native
    chosen = backend.choose_precision("auto", "cpu", deterministic)
    assert chosen == ("mixed_bfloat16" if native and not deterministic else "float32")
    assert set(asked) == {"/proc/cpuinfo"}
    assert backend.choose_precision("float32", "cpu") == "float32"
    assert backend.choose_precision("bfloat16", "cpu") == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("details", "native"),
    [
        ({"compute_capability": (9, 0), "device_name": "NVIDIA H200"}, True),
        ({"compute_capability": (8, 0)}, True),
        ({"compute_capability": (7, 5)}, False),
        ({}, False),
    ],
)
def test_the_gpus_generation_chooses_the_precision(
    monkeypatch: pytest.MonkeyPatch, details: dict, native: bool
):
    """The GPU that was chosen is asked, not the first one and not the processor."""
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind} 0", f"{kind} 1"])
    known = {"GPU 1": details}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: known[gpu])
    monkeypatch.setattr(backend, "processor_has_bfloat16", lambda: not native)
    assert backend.choose_precision("auto", "gpu:1") == ("mixed_bfloat16" if native else "float32")
    assert backend.choose_precision("auto", "gpu:1", deterministic=True) == "float32"


def test_compiled_functions_compute():
    double = backend.compiled(lambda values: values * 2)
    np.testing.assert_array_equal(np.asarray(double(np.arange(3.0))), [0, 2, 4])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        RuntimeError("CUDA out of memory"),
        RuntimeError("OOM when allocating tensor with shape[64,64,46,46]"),
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_memory_errors_are_recognised(error: Exception):
    explained = explain(error, 64)
    assert isinstance(explained, OutOfMemory)
    assert explained.settings == {"batch_size": 32}
    assert explain(ValueError("x"), 64).args == ("x",)
    assert explain(error, 1).settings == {}
