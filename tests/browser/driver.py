"""Drive the real dashboard in headless Chromium: start the server, open pages, wait, look, shoot."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
BUSY = (
    "() => { const app = document.querySelector('[data-testid=\"stApp\"]');"
    " return !app || app.dataset.testScriptState !== 'notRunning'"
    " || !document.querySelector('[data-testid=\"stMainBlockContainer\"] [data-testid]')"
    " || document.querySelector('[data-testid=\"stSkeleton\"]') !== null; }"
)


def chromium() -> str | None:
    """The Chromium of this system; none is downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("FER_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(cache: Path, log: Path | None = None, seconds: float = 90) -> Iterator[str]:
    """A dashboard started as users start it, on a free port with its own cache; yields its address."""
    port = free_port()
    environment = os.environ | {"FER_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, str(ROOT / "dashboard"), "--no-browser", "--cpu", "--port", str(port)]
    with open(log or os.devnull, "ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, seconds)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"The dashboard ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The dashboard did not answer at {url} within {seconds:.0f} s")


@contextmanager
def launched(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Headless Chromium with an empty profile that talks to nobody but the dashboard."""
    with tempfile.TemporaryDirectory(prefix="fer-chromium-") as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=[*QUIET, *arguments], env={**os.environ, "HOME": home}
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def another(browser: Browser, arguments: Sequence[str]) -> Iterator[Browser]:
    """A second Chromium with other flags, such as a camera, beside one that runs already."""
    started = browser.browser_type.launch(executable_path=chromium(), args=[*QUIET, *arguments])
    try:
        yield started
    finally:
        started.close()


def visit(page: Page, url: str, seconds: float = 180) -> None:
    """Open an address and wait until the page is drawn and its script has ended."""
    page.goto(url, wait_until="domcontentloaded", timeout=seconds * 1000)
    settle(page, seconds)


def settle(page: Page, seconds: float = 180, quiet: float = 0.4) -> None:
    """Wait until the script has been at rest for `quiet` seconds, charts included."""
    end = time.monotonic() + seconds
    calm_since = None
    while time.monotonic() < end:
        if page.evaluate(BUSY):
            calm_since = None
        elif calm_since is None:
            calm_since = time.monotonic()
        elif time.monotonic() - calm_since >= quiet:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{page.url} was still running after {seconds:.0f} s")


def assert_no_exception(page: Page) -> None:
    """No traceback box and no Streamlit connection error on the page; `st.error` messages are allowed."""
    boxes = page.locator('[data-testid="stException"]')
    shown = boxes.all_inner_texts()
    assert not shown, f"{page.url} shows {shown}"


def shoot(page: Page, path: Path, tallest: int = 9000) -> None:
    """A picture of the whole page: Streamlit scrolls an inner block, so the window grows to its height."""
    size = page.viewport_size or {"width": 1440, "height": 900}
    needed = page.evaluate("() => document.querySelector('[data-testid=\"stMain\"]')?.scrollHeight ?? 0")
    if needed > size["height"]:
        page.set_viewport_size({"width": size["width"], "height": min(needed, tallest)})
        page.wait_for_timeout(500)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(path))
    page.set_viewport_size(size)
