"""Data from outside: the whole corpus of photos, a disk that really fills, and kills at 20 random moments."""

import base64
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer import storage
from fer.data.dataset import list_datasets, open_dataset
from fer.data.sources import import_source
from fer.errors import UserError
from tests.data.sourcekit import release_files, write_folder, zipped
from tests.prediction.corpus import bad_photos, good_photos

# Waits with everything imported, so that the kill falls into the import and not into Python's start.
IMPORTER = """
import sys
import cv2, fer.analysis.statistics
from fer.data.sources import import_source
print("ready", flush=True)
sys.stdin.readline()
import_source(sys.argv[1], name="killed")
"""
FULL_DISK = """
set -e
mount -t tmpfs -o size=$2 tmpfs "$1"
export FER_CACHE="$1/cache"
"$3" -m fer import "$4" --name first
find "$1/cache" -type f | sort | xargs sha256sum > "$1.before"
if "$3" -m fer import "$5" --name second; then exit 9; fi
find "$1/cache" -type f | sort | xargs sha256sum > "$1.after"
cmp "$1.before" "$1.after"
"$3" -m fer datasets
"""


def test_every_photo_of_the_corpus_is_imported_or_set_aside_with_its_name():
    photos = {f"good {name}": content for name, (content, *_) in good_photos().items()} | bad_photos()
    files = {f"train/happy/{n}.jpg": content for n, content in enumerate(photos.values())}
    result = import_source(zipped(files))
    reasons = {entry["where"]: entry["reason"] for entry in result.quarantined}
    assert result.seen == len(files)
    assert set(reasons) <= set(files)
    assert all(reason and "\n" not in reason and len(reason) < 300 for reason in reasons.values())
    names = dict(zip(files, photos, strict=True))
    imported = [names[name] for name in result.dataset.names]
    kinds = ("jpeg", "png", "webp", "gif")
    expected = {name for name in photos if name.startswith("good ") and name.split()[1] in kinds}
    assert expected <= set(imported)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with its content's hash, without staging folders and locks."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and storage.STAGING_PREFIX not in str(path) and path.suffix != ".lock"
        if path.name != ".lock"
    }


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_twenty_kills_change_nothing_outside_the_staging_folder(tmp_path, cache):
    import_source(write_folder(tmp_path / "kept", release_files(12)), name="kept")
    archive = tmp_path / "killed.zip"
    archive.write_bytes(zipped(release_files(40)))
    started = time.monotonic()
    whole = import_source(archive, name="measure").dataset
    seconds = time.monotonic() - started
    new = {f"datasets/{whole.fingerprint}/{path.name}" for path in whole.directory.iterdir()}
    shutil.rmtree(whole.directory)
    before, rng, unfinished = tree(tmp_path), random.Random(8), 0
    waiting = [importer(archive) for _ in range(2)]
    for _ in range(20):
        process = waiting.pop(0)
        assert process.stdout.readline() == b"ready\n"
        waiting.append(importer(archive))
        process.stdin.write(b"go\n")
        process.stdin.flush()
        time.sleep(rng.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        after = tree(tmp_path)
        added = {name.removeprefix("cache/") for name in after.keys() - before.keys()}
        assert {name: after[name] for name in before} == before
        assert added in (set(), new), "half a data set"
        unfinished += not added
        shutil.rmtree(whole.directory, ignore_errors=True)
    for process in waiting:
        process.kill()
        process.communicate()
    assert unfinished >= 3, "no kill fell into the import"
    assert len(open_dataset("kept")) == 168
    assert len(import_source(archive, name="killed").dataset) == 14 * 40
    assert not list((cache / "datasets").glob(f"{storage.STAGING_PREFIX}*"))


def importer(archive: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(archive)],
        cwd=storage.PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def can_mount() -> bool:
    """Whether a file system of our own can be made without rights (user namespaces)."""
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no user namespaces: a full disk cannot be made")
def test_a_disk_that_really_fills_is_one_sentence_and_leaves_what_was_there(tmp_path):
    small, large = tmp_path / "small.zip", tmp_path / "large.zip"
    small.write_bytes(zipped(release_files(2)))
    large.write_bytes(zipped(release_files(60)))
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "-rm", "sh", "-c", FULL_DISK, "sh", str(disk), "600k", sys.executable]
    done = subprocess.run(
        [*command, str(small), str(large)], cwd=storage.PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "first" in done.stdout
    assert "second" not in done.stdout
    assert list_datasets() == []


@pytest.mark.parametrize("name", [b"train/happy/1.jpg", b"train/happy"])
def test_an_entry_without_a_name_found_by_fuzzing(name):
    """`ZipInfo.is_dir` of Python 3.11 ends with an IndexError for it; atheris found that in seconds."""
    whole = zipped(release_files(2) | {name.decode(): b"x"})
    nul = whole.replace(name, b"\0" + name[1:])
    with pytest.raises(UserError, match="an entry in it has no name"):
        import_source(nul)


def test_an_entry_before_the_start_of_the_file_found_by_fuzzing():
    """Python's zipfile raises `ValueError: negative seek value` for it; atheris found that in a minute."""
    files = release_files(2)
    whole = zipped(files)
    result = import_source(b"PK\x03\x04" + whole[1500:])
    assert len(result.dataset) + len(result.quarantined) == len(files)
    reasons = [entry["reason"] for entry in result.quarantined]
    assert reasons
    assert all("damaged in the zip" in reason for reason in reasons)


def test_a_table_that_ends_before_its_size_found_by_fuzzing():
    """Python's zipfile raises EOFError for it; the 137 bytes are as atheris made them."""
    found = base64.b64decode(
        b"UEsDBBQAAAAIAL19dV2bu0wBEQAAAA8AAAALAACAZmVyMjAxMy5jc3ZLzc0vyczP0ynIrEjNKeYC"
        b"AFBLAQIUAxQAAAAIAL19dV2bu0wBEQAAAA8AAAALAAAAAAAAAAAAAACAAQAAAABmZXIyMDEzLmNz"
        b"dlBLBQYAAAAAAQABADkAAAA6AAAAAAA="
    )
    with pytest.raises(UserError, match="damaged"):
        import_source(found)
