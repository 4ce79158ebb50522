"""Networks from elsewhere: hostile files are refused quickly and leave nothing; good ones become runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from fer.emotions import CSV_ORDER, EMOTIONS
from fer.errors import UnknownName, UserError
from fer.evaluation.protocol import protocol_card
from fer.evaluation.report import run_report
from fer.models import foreign
from fer.models.foreign import import_model
from fer.models.foreign_archive import check_archive
from fer.models.loading import load_model
from fer.prediction import Predictor
from fer.runs import Run, list_runs, open_run, resume
from tests.models import foreignkit

SECONDS = 15
MEGABYTES = 100
# What the dashboard does, file after file, in a process that has nothing else in memory. The limit is judged
# by the processor time of the child, at least what the wall clock would say on an idle machine; a child that
# waits instead of working is ended by `MAX_SECONDS` and refused with other words than are expected.
DRIVER = """
import json, resource, sys, time
from pathlib import Path
from fer.errors import UserError
from fer.models.foreign import import_model

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)

def worked():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

for path in map(Path, sys.argv[1:]):
    before, began, used, said = peak(), time.monotonic(), worked(), None
    try:
        import_model(path)
    except UserError as error:
        said = str(error)
    seconds = worked() - used, time.monotonic() - began
    print(json.dumps([path.stem, said, *seconds, peak() - before]), flush=True)
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, float, float, float]]:
    """`{case: (what is expected, said, processor and wall seconds, megabytes)}`, and nothing was left."""
    folder = tmp_path_factory.mktemp("hostile")
    canary = folder / "canary"
    files = foreignkit.hostile_files(canary)
    assert tuple(files) == foreignkit.CASES
    for case, (content, _) in files.items():
        (folder / f"{case}.keras").write_bytes(content)
    cache, scratch = (tmp_path_factory.mktemp(name) for name in ("cache", "scratch"))
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *(str(folder / f"{case}.keras") for case in files)],
        env=os.environ | {"FER_CACHE": str(cache), "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not canary.exists()
    assert sorted(folder.rglob("*")) == before
    assert list(scratch.iterdir()) == []
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    results = {row[0]: row for row in map(json.loads, done.stdout.splitlines())}
    return {case: (expected, *results[case][1:]) for case, (_, expected) in files.items()}


@pytest.mark.parametrize("case", foreignkit.CASES)
def test_every_hostile_file_is_refused_quickly_in_one_sentence(case, refusals):
    expected, said, seconds, wall, megabytes = refusals[case]
    assert said, "accepted"
    assert re.search(expected, said), said
    assert "\n" not in said
    assert len(said) < 500
    assert seconds <= SECONDS
    assert wall < foreign.MAX_SECONDS
    assert megabytes <= MEGABYTES


@pytest.fixture
def members() -> dict[str, bytes]:
    return foreignkit.saved(foreignkit.good_network())


def write(path: Path, model: keras.Model) -> Path:
    model.save(path)
    return path


def test_a_students_network_becomes_a_run_that_is_judged_and_answers(tmp_path, demo_dataset):
    """Trained on 0 to 255, without softmax, outputs in the order of fer2013.csv: ours is all three."""
    layers = foreignkit.good_network().layers[:-1]
    network = keras.Sequential([keras.Input((48, 48, 1)), *layers, keras.layers.Dense(7)])
    network.compile("adam", "mse", metrics=["accuracy"])
    path = write(tmp_path / "student's.keras", network)
    seen = []
    run = import_model(
        path, "from elsewhere", demo_dataset.name, "0..255", "fer2013.csv", lambda *p: seen.append(p)
    )
    assert seen
    assert run.kind == run.recipe == "imported"
    assert run.status().state == "finished"
    assert run.config["imported"]["file"] == "student's.keras"
    assert tuple(run.config["classes"]) == CSV_ORDER

    images = demo_dataset.images[:16]
    logits = network.predict(images[..., None].astype(np.float32), verbose=0)
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    answers = load_model(run.directory / "best.keras").predict(images[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-4)

    report = run_report(run.directory, split="test")
    assert report["images"] == len(demo_dataset.indices("test"))
    assert report["accuracy_without_leaks"] is None
    card = protocol_card(run, report)
    assert "trained elsewhere, unknown data: leak status unknown" in card.split
    assert any("leak status unknown" in warning for warning in card.warnings)
    (answers,) = Predictor([run]).predict_crops(images)
    columns = [CSV_ORDER.index(emotion) for emotion in EMOTIONS]
    np.testing.assert_allclose(answers, expected[:, columns], atol=1e-4)


def test_what_comes_out_holds_nothing_of_the_foreign_file(tmp_path, members):
    import zipfile

    marked = foreignkit.zipped(members | {"metadata.json": b'{"note": "foreign"}'})
    (tmp_path / "a.keras").write_bytes(marked)
    check_archive(tmp_path / "a.keras", tmp_path / "b.keras")
    with zipfile.ZipFile(tmp_path / "b.keras") as archive:
        assert sorted(archive.namelist()) == sorted(foreignkit.MEMBERS)
        assert archive.read("metadata.json") == b"{}"
        assert b"compile_config" not in archive.read("config.json")


@pytest.mark.parametrize("name", ["vit_patch4", "hybrid", "mobilenetv3small", "resnet_se"])
def test_networks_of_this_program_pass_the_check(name, tmp_path):
    from fer.models import MODELS

    spec = MODELS[name]
    path = write(tmp_path / "ours.keras", spec.build(**spec.offline_options))
    check_archive(path, tmp_path / "checked.keras")
    assert load_model(tmp_path / "checked.keras").count_params() > 0


def test_a_child_that_takes_too_long_or_too_much_is_ended(tmp_path, members, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_bytes(foreignkit.zipped(members))
    monkeypatch.setattr(foreign, "MAX_SECONDS", 0.0)
    with pytest.raises(UserError, match="takes more than 0 s"):
        import_model(path)
    monkeypatch.undo()
    monkeypatch.setattr(foreign, "MAX_MEMORY", 10)
    with pytest.raises(UserError, match="of memory"):
        import_model(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux'")
@pytest.mark.parametrize(
    ("work", "status"),
    [("bytearray(2**31)", 3), ("while True: pass", -24), ("open('f', 'wb').truncate(2**30)", 4)],
    ids=["memory", "time", "file"],
)
def test_the_limits_of_the_child_hold(work, status, tmp_path):
    script = f"""
import signal
from fer.models.foreign_child import limit
from fer.models import foreign_child
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit(2**29, 0)
try:
    {work}
except MemoryError:
    raise SystemExit(3)
except OSError:
    raise SystemExit(4)
"""
    environment = os.environ | {"PYTHONPATH": str(foreign.storage.PROJECT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == status


def test_wrong_wishes_are_one_sentence_and_make_no_run(tmp_path, members):
    path = tmp_path / "model.keras"
    path.write_bytes(foreignkit.zipped(members))
    (tmp_path / "model.h5").write_bytes(b"x")
    for arguments, message in (
        ({"source": tmp_path / "gone.keras"}, "no file"),
        ({"source": tmp_path / "model.h5"}, r"no \.keras file"),
        ({"source": tmp_path}, "no file"),
        ({"source": "a\0b.keras"}, "no file|cannot be read"),
        ({"source": path, "name": "../x"}, "cannot be used"),
        ({"source": path, "dataset": "nowhere"}, "Unknown data set"),
    ):
        with pytest.raises(UserError, match=message):
            import_model(**arguments)
    for arguments in ({"scale": "0..7"}, {"order": "by size"}):
        with pytest.raises(UnknownName):
            import_model(path, **arguments)
    assert list_runs() == []


def test_an_imported_run_cannot_be_trained_again(cache):
    from fer.runs import create_run

    def fill(folder: Path) -> None:
        (folder / "best.keras").write_bytes(b"x")

    run: Run = create_run({"imported": {}, "dataset": ""}, kind="imported", recipe="imported", fill=fill)
    assert open_run(run.id).status().state == "finished"
    with pytest.raises(UserError, match="has finished"):
        resume(run)
    with pytest.raises(UserError, match="trained elsewhere"):
        foreign.run({}, run.directory, lambda *p: None, lambda: False)
