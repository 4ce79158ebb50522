"""The live camera in a real browser, with a drawn face in front of it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fer import runs
from fer.emotions import EMOTIONS
from tests.browser import driver, fakecamera
from tests.prediction.test_predictor import make_run

pytestmark = pytest.mark.browser


@pytest.fixture
def run(cache: Path, demo_dataset) -> runs.Run:
    config = {"classes": list(EMOTIONS), "dataset": demo_dataset.fingerprint}
    made = runs.create_run(config, name="for the camera", recipe="baseline_cnn")
    small = make_run(cache / "small", seed=1)
    for name in ("best.keras", "model.json"):
        (small / name).rename(made.directory / name)
    runs.record_finished(made)
    return made


@pytest.fixture
def page(browser, dashboard, tmp_path):
    """The Predict page's camera view; `browser` says why when there is no Chromium."""
    video = fakecamera.write_video(tmp_path / "face.y4m")
    # Playwright's own loop is the session's: a second browser starts from the same one.
    with driver.another(browser, fakecamera.chromium_arguments(video)) as other:
        page = other.new_context(viewport={"width": 1440, "height": 900}).new_page()
        yield page


def test_the_camera_shows_a_face_and_its_probabilities(run, dashboard, page, cache):
    driver.visit(page, f"{dashboard}/predict?photos=Live+camera")
    expect(page.get_by_role("status")).to_have_text("The camera is off.")
    before = {path for path in cache.rglob("*") if path.is_file()}
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('.camera')"
        "?.dataset.frames >= 10)",
        timeout=90_000,
    )
    expect(page.get_by_role("status")).to_have_text(re.compile(r"one face · \d+ pictures a second"))
    bars = page.locator(".face .bar")
    assert [text.split("\n")[0] for text in bars.all_inner_texts()] == list(EMOTIONS)
    shares = [int(re.search(r"(\d+) %", text)[1]) for text in bars.all_inner_texts()]
    assert 96 <= sum(shares) <= 104
    assert page.locator(".face h4").inner_text().split(" ")[0] in EMOTIONS
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.get_by_role("status")).to_have_text("The camera is off.")
    after = {path for path in cache.rglob("*") if path.is_file()}
    ours = ("dispatcher", "queue.sqlite")  # SQLite has two files more while a page reads the queue
    new = {path for path in after - before if not path.name.startswith(ours) and path.suffix != ".lock"}
    assert new == set(), "nothing of a camera's pictures may be stored"
    driver.assert_no_exception(page)
