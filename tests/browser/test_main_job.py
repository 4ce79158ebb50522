"""The main job, as a newcomer does it in a browser: import, explore, train, compare, explain, predict."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dashboard import comparison, exploring
from dashboard.navigation import PAGES
from fer.data.dataset import list_datasets
from fer.emotions import EMOTIONS
from fer.runs import Run, list_runs
from tests.browser import driver

pytestmark = pytest.mark.browser
TITLES = {spec.name: spec.title for spec in PAGES}


def go(page: Page, name: str) -> None:
    """Follow the navigation to a page and wait until it is drawn, without an exception."""
    page.get_by_test_id("stSidebarNavLink").filter(has_text=re.compile(f"^.*{TITLES[name]}$")).click()
    page.wait_for_url(re.compile(rf"/{'' if name == 'home' else name}(\?.*)?$"))
    driver.settle(page)
    driver.assert_no_exception(page)


def cells(page: Page) -> list[str]:
    """Texts of all table cells on the page (drawn on a canvas, with an accessible copy in the DOM)."""
    return page.locator('[data-testid="stDataFrame"] canvas td').all_text_contents()


def trained(seconds: float) -> Run:
    """The one run of this cache once it has finished."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        runs = list_runs()
        if runs and runs[0].status().state not in ("queued", "running"):
            break
        time.sleep(0.5)
    assert len(runs) == 1, runs
    status = runs[0].status()
    assert status.state == "finished", (status, runs[0].log_tail(30))
    return runs[0]


def import_demo(page: Page) -> None:
    go(page, "data")
    choose(page, "Import")
    choose(page, "Demo faces")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(re.compile(r"[\d,]+ images in [\d.]+ s, 0 set aside"))).to_be_visible(
        timeout=180_000
    )
    driver.assert_no_exception(page)
    assert len(list_datasets()) == 1, "the same faces imported again must be one data set"


def explore(page: Page) -> None:
    go(page, "explore")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    counts = list_datasets()[0].counts["train"]
    for emotion in EMOTIONS:
        assert page.locator(".js-plotly-plot").first.get_by_text(emotion, exact=True).count() >= 1
    for view in exploring.VIEWS:
        choose(page, view)
        driver.assert_no_exception(page)
        if view == "Samples":
            expect(page.get_by_text(f"{counts['happy']:,} images").first).to_be_visible()


def train(page: Page) -> Run:
    go(page, "train")
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("2")
    epochs.press("Tab")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text(re.compile("is in the queue|queued|running")).first).to_be_visible(timeout=60_000)
    go(page, "home")  # training does not need the page
    run = trained(seconds=300)
    assert len(run.history()) == 2
    go(page, "train")
    expect(page.get_by_text("Epoch 2 of 2 complete")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    return run


def compare(page: Page, run: Run) -> None:
    go(page, "compare")
    accuracy = f"{100 * run.metrics()['accuracy']:.2f}"
    assert any(cell.startswith(accuracy) for cell in cells(page)), (accuracy, cells(page))
    for view in comparison.VIEWS:
        choose(page, view)
        driver.assert_no_exception(page)
        expect(page.get_by_test_id("stMain")).not_to_contain_text("No trained model")
        if view in ("Per class", "Confusion", "Curves"):
            expect(page.locator(".js-plotly-plot:visible").first).to_be_visible()


def explain(page: Page) -> None:
    go(page, "explain")
    caption = page.get_by_text(re.compile(r"Heat on eyes .* Layer \w+\."))
    expect(caption).to_be_visible(timeout=120_000)
    expect(page.get_by_role("combobox", name="Method")).to_have_value("Grad-CAM")
    expect(page.get_by_text(re.compile(rf"heat for ({'|'.join(EMOTIONS)})")).first).to_be_visible()
    choose(page, "surprise")  # another face, another class to explain
    choose_from(page, "Class to explain", "fear")
    expect(page.get_by_text("heat for fear").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("true class: surprise").first).to_be_visible()
    assert page.get_by_test_id("stAlert").all_text_contents() == []


def predict(page: Page, photo: Path) -> None:
    go(page, "predict")
    page.locator('input[type="file"]').set_input_files(str(photo))
    heading = page.get_by_role("heading", name=re.compile("Face 1"))
    heading.wait_for(timeout=120_000)
    driver.settle(page)
    assert page.get_by_role("heading", name=re.compile("Face 2")).count() == 0
    chart = page.locator(".js-plotly-plot").first
    for emotion in EMOTIONS:
        assert chart.get_by_text(emotion, exact=True).count() >= 1
    driver.assert_no_exception(page)
    assert page.get_by_test_id("stAlert").filter(has_text="error").count() == 0


def choose_from(page: Page, label: str, option: str) -> None:
    """Choose an option of a drop-down list."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()
    driver.settle(page)


def choose(page: Page, option: str) -> None:
    """Choose an option of a segmented control or a tab, and wait for what it shows."""
    groups = page.locator('[data-testid="stButtonGroup"], [role="tablist"]')
    groups.get_by_text(option, exact=True).first.click()
    driver.settle(page)


def test_import_explore_train_compare_explain_predict(page: Page, dashboard: str, photo: Path):
    driver.visit(page, dashboard)  # the first visit draws the demo faces
    driver.assert_no_exception(page)
    import_demo(page)
    explore(page)
    run = train(page)
    compare(page, run)
    explain(page)
    predict(page, photo)
    for spec in PAGES:
        go(page, spec.name)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A large colour JPEG of one drawn face."""
    from PIL import Image

    from fer.data.demo import draw_photo

    pixels, _ = draw_photo(1)
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, quality=90)
    return path
