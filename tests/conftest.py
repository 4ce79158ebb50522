"""What every test gets: an empty cache of its own, a CPU, and the two data sets made once per session.

- `cache` (automatic): `FER_CACHE` is an empty folder, so no test sees another's work or the user's.
- `demo_dataset`: the built-in demo faces, opened from and stored in the test's own cache.
- `real_dataset`: FER-2013 from the zip named by `FER2013_ZIP`, likewise; skips visibly without it.

Data sets are generated or imported once per session and hard-linked into each test's cache. Fixtures of
module or session scope see the session's own cache, which holds the same data sets.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# An example's time says more about what else the machine does than about the program.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if os.environ.get("FER_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

if TYPE_CHECKING:
    from fer.data.dataset import Dataset

TURN = "FER_TESTS_TURN"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that drive a browser first: few and long, one of them last would leave a processor idle."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """While a test marked `quiet` runs, with its fixtures, the other workers of pytest-xdist wait."""
    with turn(item.get_closest_marker("quiet") is not None):
        return (yield)


@contextmanager
def turn(alone: bool, folder: Path = Path(__file__).parent) -> Iterator[None]:
    """Hold the machine with others, or, once they have ended, alone; later ones wait at the gate meanwhile.

    The locks are on two files of `folder` that are there anyway, so nothing is left behind by who is killed.
    """
    nested = os.environ.get(TURN)  # a test's own pytest would wait for that test
    if nested or "PYTEST_XDIST_WORKER" not in os.environ or os.name != "posix":
        yield
        return
    from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock

    with open(folder / "conftest.py", "rb") as gate, open(folder / "__init__.py", "rb") as machine:
        flock(gate, LOCK_EX)
        flock(machine, LOCK_EX if alone else LOCK_SH)
        flock(gate, LOCK_UN)
        os.environ[TURN] = "1"
        try:
            yield
        finally:
            del os.environ[TURN]
            flock(machine, LOCK_UN)  # said, because a process that a test left behind may hold the file open


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache that fixtures of wider scope write to; never the project's own `cache/`.

    Nor is there a starter, which would be one run more on every page; `shipped` brings back the real one.
    """
    directory = tmp_path_factory.mktemp("session-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(directory))
        patch.setenv("FER_STARTER", str(directory / "no starter"))
        yield directory


@pytest.fixture(autouse=True)
def cache(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_cache: Path
) -> Path:
    """An empty `FER_CACHE` for this test, holding only the data sets the test asked for by fixture."""
    directory = tmp_path / "cache"
    directory.mkdir()
    for fixture in ("demo_dataset", "real_dataset"):
        if fixture in request.fixturenames:
            dataset = request.getfixturevalue(fixture)
            _link(dataset.directory, directory / "datasets" / dataset.fingerprint)
    monkeypatch.setenv("FER_CACHE", str(directory))
    return directory


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the starter that comes with the program, in force for this test."""
    from fer.runs.run import starter_directory

    monkeypatch.delenv("FER_STARTER")
    return starter_directory()


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> "Dataset":
    """The built-in demo faces (~3,500 images), generated once for all workers."""
    from fer.data.demo import demo_dataset as generate

    return _shared(tmp_path_factory, session_cache, "demo", lambda: generate())


@pytest.fixture(scope="session")
def real_dataset(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> "Dataset":
    """FER-2013's train and PublicTest images from `FER2013_ZIP`, imported once for all workers."""
    source = os.environ.get("FER2013_ZIP")
    if not source:
        pytest.skip("FER2013_ZIP is not set: no real data")
    if not Path(source).is_file():
        pytest.fail(f"FER2013_ZIP names {source}, which is no file")

    def load() -> "Dataset":
        from fer.data.sources import import_source

        return import_source(Path(source), name="FER-2013").dataset

    return _shared(tmp_path_factory, session_cache, "real", load)


def _shared(
    factory: pytest.TempPathFactory, session_cache: Path, name: str, make: Callable[[], "Dataset"]
) -> "Dataset":
    """Make a data set once for all pytest-xdist workers, and link it into this worker's cache."""
    from filelock import FileLock

    from fer.data.dataset import open_dataset

    base = factory.getbasetemp()
    root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    store = root / f"shared-{name}"
    with FileLock(root / f"shared-{name}.lock"), pytest.MonkeyPatch.context() as patch:
        if not (store / "done").exists():
            shutil.rmtree(store, ignore_errors=True)
            patch.setenv("FER_CACHE", str(store))
            make()
            (store / "done").touch()
    (source,) = (meta.parent for meta in (store / "datasets").glob("[0-9a-f]*/meta.json"))
    _link(source, session_cache / "datasets" / source.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(session_cache))
        return open_dataset(source.name)


def _link(source: Path, target: Path) -> None:
    """A stored data set in another cache without copying: its files are only ever replaced, not edited."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.rglob("*"):
        if file.is_file() and not (target / file.relative_to(source)).exists():
            link = target / file.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, link)
            except OSError:
                shutil.copy2(file, link)
