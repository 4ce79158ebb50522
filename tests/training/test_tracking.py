"""MLflow when it is not wanted or not there; with a real server in `tests/extras/test_mlflow.py`."""

import ast
import sys
import threading

import pytest

from fer import storage
from fer.training.config import Phase
from fer.training.fit import fit
from fer.training.tracking import URI, Tracker, flat, plain
from tests.training.conftest import quick

EXTRAS = {"mlflow", "ray"}


def test_a_training_without_the_variable_imports_no_client(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv(URI, raising=False)
    fit(quick(tiny, phases=(Phase(epochs=1),)), tmp_path / "run")
    assert not EXTRAS & set(sys.modules)
    assert not (tmp_path / "run" / "mlflow.json").exists()


def test_a_missing_client_is_one_line_and_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(URI, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as where it is not installed
    threads = threading.active_count()
    tracker = Tracker(tmp_path, {"recipe": "vgg"})
    tracker.add({"epoch": 1, "loss": 0.5})
    tracker.finish("FINISHED", {"accuracy": 0.5})
    assert threading.active_count() == threads
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install -r requirements-mlflow.txt" in line


@pytest.mark.parametrize("folder", ["fer", "dashboard", "pages"])
def test_only_one_module_imports_an_extra_when_it_is_imported(folder):
    for path in (storage.PROJECT / folder).rglob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            names: list[str] = []
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom) and not statement.level:
                names = [statement.module or ""]
            found = EXTRAS & {name.split(".")[0] for name in names}
            assert not found or path.name == "ray_jobs.py", f"{path} imports {found}"


def test_no_module_but_the_follower_reaches_it_by_importing():
    for path in (storage.PROJECT / "fer").rglob("*.py"):
        if path.name not in ("ray_follower.py", "ray_jobs.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [getattr(node, "module", ""), *(alias.name for alias in node.names)]
                    assert not any(
                        "ray_follower" in str(name) or "ray_jobs" in str(name) for name in names
                    ), path


def test_a_nested_config_as_parameters():
    config = {"model": "vgg", "phases": [{"epochs": 3}, {"epochs": 5}], "oversample": {}, "classes": ["a"]}
    assert flat(config) == {
        "model": "vgg", "phases.0.epochs": "3", "phases.1.epochs": "5",
        "oversample": "{}", "classes": "['a']",
    }  # fmt: skip


def test_no_password_in_the_log():
    assert plain("no http://anna:secret@host:5000/x\n there") == "no http://host:5000/x there"
