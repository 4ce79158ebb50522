"""A real dashboard and a real browser; without Chromium these tests skip, in `.ci/run` they fail."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import driver

expect.set_options(timeout=30_000)  # milliseconds; Playwright's 5 s are short on a busy machine of two cores


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, for one file: while Playwright's event loop runs, tests of coroutines cannot."""
    if driver.chromium() is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("FER_BROWSER_REQUIRED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with driver.launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window of 1440 × 900 with a profile of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def dashboard(cache: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a dashboard started as users start it, on this test's cache."""
    log = tmp_path / "server.log"
    with driver.serving(cache, log) as url:
        yield url
    print(log.read_text(encoding="utf-8", errors="replace")[-6000:])  # pytest shows it when the test fails
