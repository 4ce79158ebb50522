"""The engine of new trainings, chosen on the page, on the command line, or by the environment."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from fer import runs
from fer.cli import main
from fer.errors import UserError
from fer.runs import launchers

NAMES = ("FER_ENGINE", "FER_RAY_ADDRESS", "FER_RAY_SHARED")


@pytest.fixture(autouse=True)
def no_engine_named(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def page():
    from dashboard.engine_choice import choose_engine

    choose_engine()


def test_the_page_keeps_the_choice_and_the_address():
    launchers.choose("local", "http://127.0.0.1:9", shared=True)
    app = AppTest.from_function(page).run()
    assert app.radio[0].value == "local"
    app.radio[0].set_value("ray").run()
    assert not app.exception
    assert launchers.chosen() == {"engine": "ray", "address": "http://127.0.0.1:9", "shared": True}
    assert any("http://127.0.0.1:9" in caption.value for caption in app.caption)
    assert not app.text_input, "a shared dashboard must not send the cluster's token to any address"


def test_the_environment_wins(monkeypatch):
    launchers.choose("ray", "http://127.0.0.1:9")
    monkeypatch.setenv("FER_ENGINE", "local")
    app = AppTest.from_function(page).run()
    assert app.radio[0].disabled
    assert launchers.chosen()["engine"] == "local"
    assert launchers.launcher().__name__ == "fer.runs.launchers.local"


def test_the_command_line_chooses(capsys):
    assert main(["engine", "ray", "--address", "http://127.0.0.1:9", "--shared", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "ray"
    assert main(["engine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == "http://127.0.0.1:9"
    assert main(["engine", "ray", "--address", "head:8265"]) == 1
    assert "is no URL" in capsys.readouterr().err


def test_a_training_for_a_cluster_that_is_not_there_is_refused_and_a_small_job_runs_here(monkeypatch):
    monkeypatch.setenv("FER_ENGINE", "ray")
    monkeypatch.setenv("FER_RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("FER_TEST_JOBS", "stub=tests.runs.stub_jobs:work")
    training = runs.create_run({"epochs": 1})
    with pytest.raises(UserError, match="FER_ENGINE=local"):
        runs.submit(training)
    assert training.status().state == "stopped"
    small = runs.create_run({"epochs": 1}, kind="stub")
    runs.submit(small)
    assert runs.wait(small, 60).state == "finished"
    assert small.status().where == "cpu"
