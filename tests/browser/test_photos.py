"""Photos in a real browser: boxes changed by hand, and not a byte of a photo written by the server."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from fer import runs
from fer.data.demo import draw_photo
from fer.emotions import EMOTIONS
from tests.browser import driver
from tests.prediction.test_predictor import make_run

pytestmark = pytest.mark.browser

# Imported by every Python that starts with this folder on PYTHONPATH: announces each file opened for writing.
WATCHER = """
import os, sys
log = os.open(os.environ["WATCHED_FILES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        os.write(log, f"{arguments[0]}\\n".encode())
    elif event == "socket.connect":
        os.write(log, f"{event} {arguments[1]}\\n".encode())
sys.addaudithook(hook)
"""


@pytest.fixture
def run(cache: Path, demo_dataset) -> runs.Run:
    config = {"classes": list(EMOTIONS), "dataset": demo_dataset.fingerprint}
    made = runs.create_run(config, name="for photos", recipe="baseline_cnn")
    small = make_run(cache / "small", seed=1)
    for name in ("best.keras", "model.json"):
        (small / name).rename(made.directory / name)
    runs.record_finished(made)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 5 MB, as phones take them: noise keeps it large."""
    pixels, _ = draw_photo(3, 1600, 1200)
    noise = np.random.default_rng(0).integers(0, 12, pixels.shape, dtype=np.uint8)
    Image.fromarray(np.minimum(pixels, 243) + noise).save(tmp_path / "me.png")
    assert (tmp_path / "me.png").stat().st_size > 3_000_000
    return tmp_path / "me.png"


def give(page: Page, url: str, photo: Path) -> None:
    driver.visit(page, f"{url}/predict")
    page.locator('input[type="file"]').set_input_files(str(photo))
    page.get_by_role("heading", name="Face 1").wait_for(timeout=120_000)
    driver.settle(page)


def faces(page: Page, count: int) -> None:
    """Wait until the page shows results for so many faces."""
    expect(page.get_by_role("heading", name=re.compile(r"^Face \d"))).to_have_count(count, timeout=60_000)
    driver.settle(page)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the dashboard of this test announces what it opens for writing."""
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher" / "sitecustomize.py").write_text(WATCHER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "watcher"))
    monkeypatch.setenv("WATCHED_FILES", str(tmp_path / "written.txt"))
    return tmp_path / "written.txt"


def test_a_photo_is_never_written(run, photo, watched, dashboard, page, tmp_path):
    give(page, dashboard, photo)  # what loads lazily is loaded
    before = len(watched.read_text().splitlines())
    assert before > 0, "the watcher sees what the server writes"
    again = tmp_path / "again.png"
    again.write_bytes(photo.read_bytes())
    give(page, dashboard, again)
    own = re.compile(r"/cache/|/__pycache__/|^/dev/null|^socket.connect .*127\.0\.0\.1")
    written = [line for line in watched.read_text().splitlines()[before:] if not own.search(line)]
    assert written == []
    content = photo.read_bytes()[5000:5200]
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or content not in path.read_bytes(), path


def test_boxes_are_drawn_moved_and_removed(run, photo, dashboard, page):
    give(page, dashboard, photo)
    faces(page, 1)
    area = page.locator(".boxes svg").bounding_box()
    page.mouse.move(area["x"] + 15, area["y"] + 15)
    page.mouse.down()
    page.mouse.move(area["x"] + 95, area["y"] + 105, steps=4)
    page.mouse.up()
    faces(page, 2)
    page.get_by_role("button", name="Remove box").click()
    faces(page, 1)
    first = page.get_by_role("heading", name="Face 1").inner_text()
    page.locator(".boxes g.box").first.focus()
    for _ in range(12):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_role("heading", name="Face 1")).not_to_have_text(first, timeout=60_000)
    driver.settle(page)
    page.get_by_role("button", name="Back to the faces found").click()
    expect(page.get_by_role("heading", name="Face 1")).to_have_text(first, timeout=60_000)
    page.locator(".boxes g.box").first.focus()
    page.keyboard.press("Delete")
    faces(page, 0)
    page.get_by_role("button", name="Add a box").click()
    faces(page, 1)
    driver.assert_no_exception(page)
