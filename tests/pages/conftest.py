"""A cache with the demo faces and one trained run, made once and linked into every page test's cache."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def nothing_left_frozen() -> Iterator[None]:
    """After the module every object is looked through again."""
    gc.unfreeze()
    gc.collect()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def older_objects_set_aside(nothing_left_frozen: None) -> None:
    """What other tests left is not looked through after every run of a page.

    Once Keras is imported, Streamlit calls its `clear_session` after each run, which collects garbage: 0.4 s
    of 0.45 where the models' tests ran before in the process. The server does the same in `memory.tidy`.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def trained_run(demo_dataset, session_cache: Path) -> Path:
    """Folder of a run of two short epochs on the demo faces, trained by the code users run."""
    from fer.recipes import recipe_config
    from fer.runs import create_run, run_here

    config = recipe_config(
        "baseline_cnn", demo_dataset.fingerprint, epochs="2", limit="400", precision="float32"
    )
    run = create_run(config.to_json(), kind="train", name="two epochs", recipe="baseline_cnn")
    run_here(run)
    assert run.status().state == "finished", run.status()
    return run.directory


@pytest.fixture
def cache_with_run(cache: Path, demo_dataset, trained_run: Path) -> Path:
    """This test's cache, holding the demo faces and a copy of the trained run."""
    shutil.copytree(trained_run, cache / "runs" / trained_run.name, copy_function=_link)
    return cache


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def open_page(name: str, **query: str) -> AppTest:
    """A page of the app, run once."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    if name != "home":
        app.switch_page(f"../pages/{name}.py").run()
    return app
