"""The doctor finds what was left lying around, explains it, and cleans only what is safe to clean."""

import os
import subprocess
import sys
import time

import numpy as np

from fer import doctor, storage
from fer.data.dataset import save_dataset
from fer.runs.processes import MARKER


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


def test_a_process_of_a_forgotten_run_is_named_and_that_of_another_cache_is_not(cache, tmp_path):
    def sleeper(folder) -> subprocess.Popen:
        environment = os.environ | {"FER_CACHE": str(folder), MARKER: "token", "FER_RUN": "lost"}
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)

    ours, theirs = sleeper(cache), sleeper(tmp_path / "elsewhere")
    try:
        found = " ".join(problem.what for problem in doctor.problems())
        assert f"Process {ours.pid} belongs to run lost" in found
        assert str(theirs.pid) not in found
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()
