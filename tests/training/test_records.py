"""`environment.json` and its neighbours: what decides a result besides the config, with its true values."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from fer import backend, storage
from fer.backend import Device
from fer.data.dataset import Dataset
from fer.data.selection import mark
from fer.data.splits import SplitConfig
from fer.training import fit as fit_module
from fer.training import records
from fer.training.config import Phase
from fer.training.data import load_data
from fer.training.fit import fit
from tests.training.conftest import quick


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_says_what_it_was_made_with(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        fit_module.Training, "_evaluate", lambda self: fit_module.FitResult(False, self._training_metrics())
    )
    monkeypatch.setattr(records, "revision", lambda: "abc+changes")
    mark(tiny, "clean", [0, 1], "drop", reason="test")
    mark(tiny, "clean", [2], "relabel", label="happy", reason="test")
    split = SplitConfig(scheme="release", seed=5)
    config = quick(tiny, selection="clean", split=split, phases=(Phase(epochs=1),), limit=None)
    fit(config, tmp_path)
    facts = json.loads((tmp_path / "environment.json").read_text())
    device = backend.devices()[0].title
    assert facts["versions"] == backend.versions()
    for library in ("tensorflow", "keras", "numpy", "scipy", "scikit-learn"):
        assert facts["versions"][library] == version(library)
    assert facts["versions"]["python"] == facts["python"] == platform.python_version()
    assert {name: facts[name] for name in facts if name not in ("versions", "python", "images")} == {
        "backend": "tensorflow",
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": "cpu",
        "device_title": device,
        "precision": "float32",
        "deterministic": True,
        "jit": False,
        "revision": "abc+changes",
        "dataset": tiny.fingerprint,
        "dataset_name": "tiny",
        "selection": "clean@2",
        "generated": "",
    }
    data = load_data(config, "clean@2")
    assert facts["images"] == {name: len(indices) for name, indices in data.splits.items()}
    assert facts["images"]["train"] == 54
    with np.load(tmp_path / "splits.npz") as stored:
        assert set(stored.files) == set(data.splits)
        for name, indices in data.splits.items():
            np.testing.assert_array_equal(stored[name], indices)
    assert json.loads((tmp_path / "config.json").read_text())["split"] == split.to_json()
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), data.all_labels)
    seen = np.concatenate([data.splits["train"], data.splits["validation"]])
    np.testing.assert_array_equal(np.load(tmp_path / "hashes.npy"), np.unique(tiny.hashes[seen]))
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["device"], progress["precision"]) == ("cpu", "float32")


def test_the_device_named_is_the_one_that_computes(tiny: Dataset, monkeypatch: pytest.MonkeyPatch):
    there = [Device("cpu", "A processor"), Device("gpu:0", "NVIDIA T4"), Device("gpu:1", "NVIDIA H200")]
    monkeypatch.setattr(backend, "devices", lambda: there)
    monkeypatch.setattr(backend, "_deterministic", False)
    config = quick(tiny, device="auto", deterministic=False, jit=True)
    for device, title in (("cpu", "A processor"), ("gpu:0", "NVIDIA T4"), ("gpu:1", "NVIDIA H200")):
        facts = records.environment(config, load_data(config), device, "mixed_bfloat16")
        assert (facts["device"], facts["device_title"]) == (device, title)
        assert (facts["precision"], facts["jit"], facts["deterministic"]) == ("mixed_bfloat16", True, False)


def test_the_revision_is_the_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the repository the program lies in, with a mark when a file differs; a node is told it."""
    monkeypatch.setattr(storage, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("FER_REVISION", raising=False)
    assert records.revision() == ""
    monkeypatch.setenv("FER_REVISION", "sent")
    assert records.revision() == "sent"
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert records.revision() == head
    (tmp_path / "notes").write_text("untracked files are no code\n")
    assert records.revision() == head
    (tmp_path / "code.py").write_text("one = 2\n")
    assert records.revision() == f"{head}+changes"
