"""The parts of the cluster engine that need no cluster; the rest is in `tests/extras/test_ray.py`."""

import io
import tarfile

import pytest

from fer import runs, storage
from fer.errors import UserError
from fer.runs import files
from fer.runs.launchers import ray, ray_mirror, ray_node


@pytest.fixture
def run(monkeypatch):
    """A run of the engine, whose follower is not started."""
    monkeypatch.setattr(ray, "ensure_follower", lambda: None)
    made = runs.create_run({"epochs": 3})
    record = {
        "state": "queued",
        "engine": "ray",
        "job": f"{made.id}-1",
        "address": "http://h",
        "shared": False,
    }
    files.write_record(made.directory, record)
    return made


def printed(run, capsys) -> str:
    assert ray_node.fetch({"run": run.id}) == 0
    return "Ray says something first\n" + capsys.readouterr().out


def test_what_a_node_prints_arrives_whole_and_ours_stays(run, tmp_path, capsys):
    storage.write_bytes(run.directory / "best.keras", bytes(range(256)) * 3000)
    (run.directory / "last").mkdir()
    storage.write_text(run.directory / "last" / "0.npz", "state")
    target = tmp_path / "here"
    target.mkdir()
    storage.write_text(target / "config.json", "ours")
    ray_mirror.unpack(printed(run, capsys), target)
    assert (target / "best.keras").read_bytes() == bytes(range(256)) * 3000
    assert (target / "last" / "0.npz").read_text() == "state"
    assert (target / "config.json").read_text() == "ours"
    assert not (target / "status.json").exists()
    assert storage.read_json(target / ray_mirror.END)["job"] == f"{run.id}-1"


def test_a_torn_or_changed_archive_changes_nothing(run, tmp_path, capsys):
    storage.write_bytes(run.directory / "best.keras", bytes(200_000))
    text = printed(run, capsys)
    swapped = text[:-9] + ("B" if text[-9] == "A" else "A") + text[-8:]
    for damaged in (text[:-200], text[:-201], swapped, "nothing"):
        with pytest.raises(UserError, match=r"damaged|printed none"):
            ray_mirror.unpack(damaged, tmp_path)
    assert not (tmp_path / "best.keras").exists()


def test_an_archive_cannot_leave_the_folder(tmp_path):
    import base64
    import hashlib

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside.txt"))
    packed = content.getvalue()
    text = f"{ray_node.ARCHIVE}{len(packed)} {hashlib.sha256(packed).hexdigest()}\n"
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(tarfile.OutsideDestinationError):
        ray_mirror.unpack(text + base64.b64encode(packed).decode(), folder)
    assert not list(tmp_path.rglob("outside.txt"))


def test_small_files_are_repeated_as_they_change(run, tmp_path, capsys):
    reporter = ray_node.Reporter(run.directory)
    storage.write_text(run.directory / "history.csv", "epoch,val_accuracy\n1,0.5\n")
    storage.write_text(run.directory / "train.log", "first line\n")
    reporter.report()
    storage.append_line(run.directory / "history.csv", "2,0.6")
    with open(run.directory / "train.log", "a") as file:
        file.write("second line\n")
    reporter.close()
    reporter.report()
    text = capsys.readouterr().out
    assert text.count(ray_node.CHANGE) == 2, "nothing is printed when nothing has changed"
    first = text.index("\n") + 1
    assert ray_mirror.repeat(text[:first], tmp_path, first=True)["job"] == f"{run.id}-1"
    assert (tmp_path / "history.csv").read_text() == "epoch,val_accuracy\n1,0.5\n"
    assert ray_mirror.repeat(text[first:], tmp_path, first=False) == {}
    assert (tmp_path / "history.csv").read_text().endswith("2,0.6\n")
    assert (tmp_path / "train.log").read_text() == "first line\nsecond line\n"
    assert ray_mirror.repeat(ray_node.CHANGE + "@@@\nno change\n", tmp_path, first=False) == {}


@pytest.mark.parametrize(
    ("state", "facts", "reason", "where"),
    [
        ("queued", {}, "On its way to the cluster.", ""),
        ("queued", {"state": "PENDING"}, "Waiting in the cluster until a GPU", ""),
        ("queued", {"state": "RUNNING", "node": "n1"}, "Starting on n1.", "waits on n1"),
        ("running", {"state": "RUNNING", "node": "n1"}, "", "gpu:0 on n1"),
        ("running", {"state": "SUCCEEDED", "node": "n1", "fetching": True}, "Ended on n1; its files are", ""),
        ("running", {"state": "RUNNING", "problem": "It does not answer."}, "It does not answer.", "gpu:0"),
        ("queued", {"state": "RUNNING", "node": "n1", "job": "an earlier one"}, "On its way", ""),
    ],
)
def test_the_status_tells_what_the_follower_wrote(run, state, facts, reason, where):
    record = files.read_record(run.directory)
    device = {"device": "gpu:0"} if state == "running" else {}
    process = {"process": {"pid": 1}, "started": 1.0}
    files.write_record(run.directory, record | {"state": state} | process | device)
    storage.write_json(run.directory / "cluster.json", {"job": record["job"]} | facts)
    found = run.status()
    assert found.state == state
    assert found.reason.startswith(reason)
    assert found.pid is None, "a number of another machine must never be killed here"
    assert not where or found.where == where


def test_a_run_in_a_cluster_is_not_moved_and_its_removal_stops_it(run, monkeypatch):
    with pytest.raises(UserError, match="in the cluster"):
        runs.move(run, 1)
    stopped = []
    monkeypatch.setattr(ray, "stop", lambda run, wait=True: stopped.append(run.id))
    runs.remove(run)
    assert stopped == [run.id]
