"""The doctor finds what was left lying around, explains it, and cleans only what is safe to clean."""

import os
import time

import numpy as np

from fer import doctor, storage
from fer.data.dataset import save_dataset


def dataset():
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48), dtype=np.uint8)
    return save_dataset("four", images, np.arange(4), np.zeros(4), [f"train/{n}" for n in range(4)])


def test_a_healthy_cache_has_no_problem_and_knows_its_size(cache):
    stored = dataset()
    found = doctor.examine()
    assert found["problems"] == []
    assert found["cache"]["datasets"]["four"] == storage.folder_size(stored.directory) > 4 * 48 * 48
    assert found["tensorflow"]
    assert found["devices"]


def test_old_staging_files_are_cleaned_and_new_ones_are_left(cache):
    stored = dataset()
    old, new = (cache / f"{storage.STAGING_PREFIX}{name}" for name in ("old", "new"))
    old.mkdir()
    (old / "part.npy").write_bytes(b"x")
    new.write_bytes(b"x")
    ago = time.time() - 2 * doctor.LEFTOVER_AGE
    os.utime(old, (ago, ago))
    assert doctor.clean(dry_run=True) == [str(old)]
    assert old.exists()
    assert doctor.clean() == [str(old)]
    assert not old.exists()
    assert new.exists()
    assert (stored.directory / "images.npy").exists()


def test_half_an_import_is_cleaned(cache):
    stored = dataset()
    (stored.directory / "meta.json").unlink()
    assert [problem.cleanable for problem in doctor.problems()] == [True]
    doctor.clean()
    assert not stored.directory.exists()


def test_a_data_set_of_another_format_is_named_and_kept(cache):
    stored = dataset()
    meta = storage.read_json(stored.directory / "meta.json")
    storage.write_json(stored.directory / "meta.json", meta | {"format": 99})
    (problem,) = doctor.problems()
    assert "format 99" in problem.what
    assert not problem.cleanable
    doctor.clean()
    assert stored.directory.exists()


def test_a_full_disk_comes_first(cache, monkeypatch):
    monkeypatch.setattr(doctor, "LOW_DISK", 1e30)
    assert "GB are free" in doctor.problems()[0].what
