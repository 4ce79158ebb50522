"""Names, tags, notes, archive, trash, and finding a run again; no process is started."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fer import runs, storage
from fer.errors import UnknownName, UserError
from fer.runs import jobs, launchers
from fer.runs.run import with_forerunners


def test_an_id_says_what_and_when():
    assert re.fullmatch(
        r"baseline_cnn-\d{8}-\d{6}-[0-9a-f]{4}", runs.create_run({"recipe": "baseline_cnn"}).id
    )
    assert re.fullmatch(r"train-\d{8}-\d{6}-[0-9a-f]{4}", runs.create_run({}).id)
    assert re.fullmatch(r"stub-\d{8}-\d{6}-[0-9a-f]{4}", runs.create_run({}, kind="stub").id)
    assert re.fullmatch(r"a_b_c-\d{8}-\d{6}-[0-9a-f]{4}", runs.create_run({}, recipe="../a b/c").id)


def test_the_config_comes_back_as_it_went_in():
    config = {"recipe": "baseline_cnn", "phases": [{"epochs": 3}, {"epochs": 4}], "device": "cpu", "π": 1.5}
    made = runs.create_run(config, name="First try")
    found = runs.open_run("First try")
    assert found == made
    assert found.config == config
    assert (found.kind, found.recipe, found.name) == ("train", "baseline_cnn", "First try")
    assert found.status().epochs == 7
    stored = storage.read_json(found.directory / "config.json")
    assert stored["format"] == 1
    assert stored["config"] == config
    assert runs.create_run(SimpleNamespace(to_json=lambda: '{"a": 1}')).config == {"a": 1}


def test_a_new_run_is_not_started():
    found = runs.create_run({"epochs": 2}).status()
    assert (found.state, found.reason, found.remedy) == ("stopped", "Not started yet.", "Start it.")
    assert found.resumable
    assert not found.active


def test_runs_are_found_by_id_name_and_beginning():
    first, second = runs.create_run({}, recipe="alpha"), runs.create_run({}, recipe="alphabet", name="Mine")
    assert runs.open_run(first.id).id == first.id
    assert runs.open_run("alpha-").id == first.id
    assert runs.open_run("Mine").id == second.id
    with pytest.raises(UserError, match="fits 2 runs"):
        runs.open_run("alpha")
    with pytest.raises(UnknownName, match="Mine"):
        runs.open_run("nothing")


@pytest.mark.parametrize("key", ["..", ".", "", "../runs", "/etc", "a/b", "al", "\x00", "*", "~"])
def test_no_key_leads_out_of_the_folder(key):
    runs.create_run({}, recipe="alpha")
    with pytest.raises(UserError):
        runs.open_run(key)


def test_newest_first_and_statuses_of_all():
    made = [runs.create_run({}) for _ in range(3)]
    listed = runs.list_runs()
    assert {run.id for run in listed} == {run.id for run in made}
    assert [run.created for run in listed] == sorted((run.created for run in made), reverse=True)
    assert set(runs.statuses(listed)) == {run.id for run in made}


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "../x", "x" * 61, "con", "starter", "Starter", ".hidden", "a\n"]
)
def test_names_that_cannot_be_used(name):
    with pytest.raises(UserError, match="name"):
        runs.create_run({}, name=name)
    run = runs.create_run({})
    with pytest.raises(UserError, match="name"):
        runs.rename(run, name)
    assert len(runs.list_runs()) == 1


def test_rename_tag_note_and_archive():
    run, other = runs.create_run({}), runs.create_run({}, name="Taken")
    assert runs.rename(run, "Better").name == "Better"
    assert runs.open_run("Better").id == run.id
    assert runs.rename(run, "Better").name == "Better"
    for taken in ("Taken", other.id):
        with pytest.raises(UserError, match="already called"):
            runs.rename(run, taken)
    assert runs.tag(run, ["b", " a ", "b", ""]).tags == ("b", "a")
    assert runs.tag(other, ["c"]).tags == ("c",)
    assert runs.all_tags() == ["a", "b", "c"]
    assert runs.note(run, "Learning rate too high?").note == "Learning rate too high?"
    assert runs.archive(run).archived
    found = runs.open_run(run.id)
    assert (found.name, found.tags, found.archived) == ("Better", ("b", "a"), True)
    assert not runs.archive(run, False).archived


def test_remove_and_restore():
    run = runs.create_run({"a": 1}, name="Mine")
    (run.directory / "best.keras").write_bytes(b"weights")
    assert runs.remove("Mine") == run.id
    assert runs.list_runs() == []
    assert run.status().reason == "It was removed."
    assert runs.list_trash() == [run.id]
    other = runs.create_run({}, name="Mine")
    back = runs.restore(run.id)
    assert back.name == run.id, "its name was given away"
    assert (back.directory / "best.keras").read_bytes() == b"weights"
    assert runs.list_trash() == []
    with pytest.raises(UnknownName):
        runs.restore(run.id)
    runs.remove(other)
    assert runs.empty_trash(older_than_days=1) == []
    assert runs.empty_trash() == [other.id]
    assert runs.list_trash() == []


def test_a_run_with_all_it_was_built_on():
    old, gone = runs.create_run({}, name="old"), runs.create_run({}, name="gone")
    runs.create_run({"initial": "old", "teachers": ["gone"]}, name="base")
    runs.create_run({"teachers": ["base", old.id]}, name="teacher")
    run = runs.create_run({"smote": "base", "teachers": ["teacher"]}, name="mine")
    runs.remove(gone)
    assert sorted(one.name for one in with_forerunners(run)) == ["base", "mine", "old", "teacher"]
    with pytest.raises(UnknownName, match="gone"):
        with_forerunners(runs.open_run("base"))


def test_a_finished_run_made_by_hand():
    run = runs.create_run({}, kind="stub")
    runs.record_finished(run, {"accuracy": 0.6})
    assert run.status().state == "finished"
    assert run.metrics() == {"accuracy": 0.6}


def test_the_starter_is_opened_but_not_changed(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_STARTER", str(tmp_path / "starter"))
    with pytest.raises(UserError, match="starter"):
        runs.open_run("starter")
    (tmp_path / "starter").mkdir()
    (tmp_path / "starter" / "best.keras").touch()
    starter = runs.open_run("starter")
    assert starter.status().state == "finished"
    for change in (runs.remove, runs.submit, runs.archive, lambda run: runs.rename(run, "x")):
        with pytest.raises(UserError):
            change(starter)
    assert (tmp_path / "starter" / "best.keras").exists()


def test_unknown_kinds_and_engines(monkeypatch):
    with pytest.raises(UnknownName, match="stub"):
        runs.create_run({}, kind="nothing")
    monkeypatch.setenv("FER_ENGINE", "abacus")
    with pytest.raises(UnknownName, match="local"):
        runs.submit(runs.create_run({}))
    assert set(launchers.Launcher.__dict__) >= {"submit", "status", "stop", "logs"}
    local = launchers.launcher("local")
    assert all(callable(getattr(local, name)) for name in ("submit", "status", "stop", "logs"))


def test_every_kind_names_a_function_that_is_there():
    for kind, target in jobs.JOBS.items():
        module, _, function = target.partition(":")
        source = storage.PROJECT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert f"\ndef {function}(" in source, kind


def test_the_log_tail_shows_the_end_of_progress_bars():
    run = runs.create_run({})
    assert run.log_tail() == ""
    (run.directory / "train.log").write_bytes(b"first\n" + b"10%\r20%\r100%\n" + "täglich\n".encode() * 3)
    assert run.log_tail(4) == "100%\ntäglich\ntäglich\ntäglich"
    assert run.log_tail(1) == "täglich"


def test_runs_import_nothing_heavy():
    """Explore, Data, Train, Runs and Compare pages import this; TensorFlow costs seconds and 600 MB."""
    code = (
        "import sys, fer.runs, fer.runs.dispatcher, fer.runs.supervisor, fer.runs.worker;"
        "heavy = {'tensorflow', 'keras', 'numpy', 'pandas', 'streamlit', 'fer.training'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=storage.PROJECT)
