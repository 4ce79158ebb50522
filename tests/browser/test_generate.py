"""A generator of two epochs on the demo faces, in a browser: trained, watched, drawn from, accepted."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from fer.generation.dataset import open_set
from fer.runs import list_runs
from tests.browser import driver

pytestmark = pytest.mark.browser


def test_a_generator_is_trained_and_draws(page: Page, dashboard: str, demo_dataset):
    driver.visit(page, f"{dashboard}/generate")
    expect(page.get_by_text("No generator yet")).to_be_visible()
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("2")
    epochs.press("Tab")
    driver.settle(page)
    page.get_by_role("button", name="Train the generator").click()
    expect(page.get_by_text(re.compile("queued|running")).first).to_be_visible(timeout=60_000)
    end = time.monotonic() + 400
    while time.monotonic() < end and (not list_runs() or list_runs()[0].status().active):
        time.sleep(0.5)
    (run,) = list_runs()
    assert run.status().state == "finished", run.log_tail(30)
    assert len(run.history()) == 2
    driver.visit(page, f"{dashboard}/runs?run={run.id}")
    driver.assert_no_exception(page)
    expect(page.get_by_text("Generated from the same noise each time:")).to_be_visible()
    driver.visit(page, f"{dashboard}/generate")
    faces = page.get_by_role("spinbutton", name="Faces", exact=True)
    faces.fill("2")
    faces.press("Tab")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text("Out of the noise")).to_be_visible(timeout=240_000)
    driver.settle(page)
    driver.assert_no_exception(page)
    assert page.get_by_role("img", name=re.compile("generated")).count() == 2
    page.get_by_text("All of them").click()
    page.get_by_role("button", name="Accept 2 faces").click()
    expect(page.get_by_text(re.compile("holds 2 generated faces"))).to_be_visible()
    made = open_set("generated disgust")
    assert made.counts() == {"disgust": 2}
    assert {origin["run"] for origin in made.origins} == {run.id}
