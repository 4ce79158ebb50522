"""How fast the dashboard is for a person in a browser, timed from outside by wall clock.

    python -m tests.benchmarks.dashboard --zip ../fer2013.zip     imports it into a cache of its own
    python -m tests.benchmarks.dashboard --cache cache            uses data sets and runs that are there

Prints one line a figure: median, lowest and highest of the repetitions, and the limit of the issue. Ends
with status 1 when a limit is missed. Run it on a machine that does nothing else.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from dashboard.navigation import PAGES, page
from tests.browser import driver

LIGHT = ("home", "explore", "data", "train", "runs", "compare")
ROOT = driver.ROOT


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zip", type=Path, help="FER-2013 as a zip, to import first")
    parser.add_argument("--cache", type=Path, help="a cache with data sets in it")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fer-benchmark-") as scratch:
        os.environ["FER_CACHE"] = str((options.cache or Path(scratch)).resolve())
        missed = 0
        if options.zip:
            missed += import_once(options.zip)
        missed += browser(options.repeat, Path(scratch))
    return 1 if missed else 0


def say(what: str, seconds: list[float], limit: float, unit: str = "s") -> int:
    """Print a figure; 1 when its median is above the limit."""
    middle = statistics.median(seconds)
    verdict = "ok" if middle <= limit else "TOO SLOW"
    print(
        f"{what:44} {middle:8.2f} {unit}  ({min(seconds):.2f} to {max(seconds):.2f}, limit {limit:g} {unit}) "
        f"{verdict}",
        flush=True,
    )
    return int(middle > limit)


def import_once(source: Path) -> int:
    """Wall clock and peak memory of `python -m fer import`, as its user sees them."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "fer", "import", str(source.resolve()), "--name", "FER-2013"]
    process = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    missed = say("import of the zip", [time.perf_counter() - begin], 8)
    return missed + say("import, peak memory", [peak / 1e6], 1000, "MB")


def browser(repeat: int, scratch: Path) -> int:
    """Server start, first byte, Explore, switching pages, memory."""
    missed = 0
    begin = time.perf_counter()
    with driver.serving(Path(os.environ["FER_CACHE"]), scratch / "server.log") as url:
        print(f"server answers {time.perf_counter() - begin:.2f} s after `python dashboard`", flush=True)
        missed += say("first byte of /", [first_byte(url) for _ in range(repeat)], 2)
        with driver.launched() as chromium:
            tab = chromium.new_page(viewport={"width": 1440, "height": 900})
            driver.visit(tab, f"{url}/explore")
            missed += say("Explore drawn, warm", [explore(tab, url) for _ in range(repeat)], 2)
            for name in LIGHT:
                driver.visit(tab, f"{url}/{'' if name == 'home' else name}")
            times = {name: [] for name in LIGHT}
            for _ in range(repeat):
                for name in LIGHT:
                    times[name].append(switch(tab, page(name).title))
            for name, seconds in times.items():
                missed += say(f"switching to {name}", seconds, 1)
        missed += memory(url)
    return missed


def first_byte(url: str) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read(1)
    return time.perf_counter() - begin


def explore(tab, url: str) -> float:
    """Seconds until the page with its charts is drawn and at rest."""
    begin = time.perf_counter()
    tab.goto(f"{url}/explore", wait_until="domcontentloaded")
    tab.wait_for_selector('[data-testid="stPlotlyChart"] svg.main-svg')
    driver.settle(tab, quiet=0.1)
    return time.perf_counter() - begin - 0.1


def switch(tab, title: str) -> float:
    """Seconds from the click in the navigation until the new page is at rest."""
    link = tab.locator('[data-testid="stSidebarNav"] a').filter(has_text=title).first
    begin = time.perf_counter()
    link.click()
    heading = "Facial expressions, measured" if title == "Home" else title
    tab.locator("h1", has_text=heading).first.wait_for()
    driver.settle(tab, quiet=0.1)
    return time.perf_counter() - begin - 0.1


def memory(url: str) -> int:
    """Memory of the server after these pages, and that TensorFlow is not in it."""
    port = int(url.rsplit(":", 1)[1])
    (server,) = {
        psutil.Process(c.pid)
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid
    }
    loaded = any("tensorflow" in region.path for region in server.memory_maps())
    print(f"TensorFlow in the server: {'YES' if loaded else 'no'}", flush=True)
    return int(loaded) + say("memory of the server", [server.memory_info().rss / 1e6], 350, "MB")


assert set(LIGHT) <= {spec.name for spec in PAGES}

if __name__ == "__main__":
    sys.exit(main())
