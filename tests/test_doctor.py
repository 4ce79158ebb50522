"""The doctor finds what was left lying around, explains it, and cleans only what is safe to clean."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from fer import doctor, leftovers, storage
from fer.data.dataset import save_dataset
from fer.errors import UserError
from fer.runs.processes import MARKER


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files is this test's own: the real one has leftovers of other programs."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(leftovers.tempfile, "gettempdir", lambda: str(folder))
    return folder


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


def test_what_belongs_to_nothing_is_found_explained_and_cleaned(cache, scratch):
    """Results of a deleted data set, a lock of a removed run, old trash, an upload nobody read."""
    from fer.runs import create_run, remove
    from fer.runs.locks import lock_path
    from fer.runs.status import run_lock

    stored = dataset()
    kept = create_run({"epochs": 1}, kind="estimate")
    removed = remove(create_run({"epochs": 1}, kind="estimate"))
    for name in (kept.id, "gone"):
        lock_path(run_lock(name)).touch()
    (stored.derived("x")).mkdir(parents=True)
    orphan = cache / "derived" / "0123456789abcdef"
    orphan.mkdir()
    (scratch / "fer-upload-abc").mkdir()
    (scratch / "other-program").mkdir()
    trash = cache / "trash" / "runs" / removed
    ago = time.time() - 31 * 86400
    lock = lock_path(run_lock("gone"))
    for path in (
        lock,
        lock_path(run_lock(kept.id)),
        trash,
        scratch / "fer-upload-abc",
        scratch / "other-program",
    ):
        os.utime(path, (ago, ago))
    expected = {str(path) for path in (orphan, lock, trash, scratch / "fer-upload-abc")}
    assert set(doctor.clean(dry_run=True)) == expected
    assert all(os.path.exists(path) for path in expected)
    assert all(problem.what and problem.remedy for problem in doctor.problems())
    assert set(doctor.clean()) == expected
    assert not any(os.path.exists(path) for path in expected)
    assert kept.directory.exists()
    assert stored.derived("x").exists()
    assert (scratch / "other-program").exists()
    assert doctor.clean() == []


def test_a_lock_that_somebody_holds_is_no_leftover(cache):
    from fer.runs import locks
    from fer.runs.status import run_lock

    held = locks.hold(run_lock("gone"))
    ago = time.time() - 2 * doctor.LEFTOVER_AGE
    os.utime(locks.lock_path(run_lock("gone")), (ago, ago))
    assert doctor.clean(dry_run=True) == []
    held.release()
    assert len(doctor.clean(dry_run=True)) == 1


def test_nothing_outside_the_cache_is_ever_removed(cache, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    with pytest.raises(UserError, match="is not in the cache"):
        leftovers.remove([leftovers.Problem("", "", str(precious), True)])
    link = cache / f"{storage.STAGING_PREFIX}link"
    link.symlink_to(precious)
    assert leftovers.remove([leftovers.Problem("", "", str(link), True)]) == [str(link)]
    assert precious.exists()


def test_disk_use_adds_up_and_the_budget_is_watched(cache, monkeypatch):
    from fer.disk_use import disk_use
    from fer.runs import create_run

    stored, run = dataset(), create_run({"epochs": 1}, kind="estimate")
    used = disk_use()
    assert sum(use.bytes for use in used) == storage.folder_size(cache)
    by_key = {(use.kind, use.key): use.bytes for use in used}
    assert by_key["data set", stored.fingerprint] == storage.folder_size(stored.directory)
    assert by_key["run", run.id] == storage.folder_size(run.directory)
    assert not any("budget" in problem.what for problem in doctor.problems())
    monkeypatch.setenv("FER_DISK_BUDGET", "0.00001")
    (problem,) = (problem for problem in doctor.problems() if "budget" in problem.what)
    assert "data set four" in problem.remedy
    monkeypatch.setenv("FER_DISK_BUDGET", "lots")
    with pytest.raises(UserError, match="'lots'; give gigabytes"):
        doctor.problems()


def test_wrong_and_missing_packages_are_named(cache, monkeypatch):
    known = doctor._version
    wrong = {"plotly": "5.0.0", "scipy": None}
    monkeypatch.setattr(doctor, "_version", lambda package: wrong.get(package, known(package)))
    found = [problem.what for problem in doctor.problems()]
    assert len(found) == 2
    assert any(what.startswith("plotly is 5.0.0; this program was tested with <8,>=7.1") for what in found)
    assert any(what.startswith("scipy is not installed") for what in found)


def test_a_missing_face_detector_is_said(cache, monkeypatch):
    from fer.prediction import faces

    monkeypatch.setattr(faces, "model_path", lambda: None)
    (problem,) = doctor.problems()
    assert "face detector" in problem.what


def test_a_run_without_its_data_and_one_of_a_newer_keras_are_named(cache):
    from fer.runs import create_run

    run = create_run({"dataset": "0123456789abcdef"}, kind="estimate")
    storage.write_json(run.directory / "environment.json", {"versions": {"keras": "99.1.0"}})
    found = " ".join(problem.what for problem in doctor.problems())
    assert "0123456789abcdef, which is not imported any more" in found
    assert "written by Keras 99.1.0" in found
