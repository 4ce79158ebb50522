"""How fast the data pages answer in a browser, on the full data set: from the change to the drawn page.

    python -m tests.benchmarks.data_pages ../fer2013_train_publictest.zip [--repeat 7]

Imports the zip into a cache of its own and stores made-up outlier scores and reconstructions (their values
do not change the work). Prints one line a figure: median, lowest and highest; ends with status 1 when a
limit is missed. Run it on a machine that does nothing else.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.dashboard import say
from tests.browser import driver

# What a change has to alter on the page; polled in the browser so that no round trip is counted.
DRAWN = """([selector, before]) => new Promise((done) => {
  const look = () => {
    const now = Array.from(document.querySelectorAll(selector), (e) => e.outerHTML).join('');
    if (now && now !== before) return requestAnimationFrame(() => done(performance.now()));
    setTimeout(look, 4);
  };
  look();
})"""
STATE = "(selector) => Array.from(document.querySelectorAll(selector), (e) => e.outerHTML).join('')"
METRICS, FACES = '[data-testid="stMetric"]', ".faces"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fer-benchmark-") as scratch:
        os.environ["FER_CACHE"] = scratch
        prepare(options.source)
        with (
            driver.serving(Path(scratch), Path(scratch) / "server.log") as url,
            driver.launched() as chromium,
        ):
            tab = chromium.new_page(viewport={"width": 1440, "height": 900})
            missed = slider(tab, url, options.repeat)
            missed += turning_pages(tab, url, options.repeat)
            missed += augmenting(tab, url, options.repeat)
    return 1 if missed else 0


def prepare(source: Path) -> None:
    """Import, and the results that the Outliers page reads."""
    from fer.analysis.outliers import Scores, reconstructions_path, save_scores
    from fer.data.sources import import_source

    dataset = import_source(source, name="FER-2013").dataset
    errors = np.random.default_rng(0).gamma(2.0, 0.001, len(dataset)).astype(np.float32)
    save_scores(dataset, Scores("autoencoder", errors, {"parameters": 75_425}))
    path = reconstructions_path(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(dataset.images))


def timed(tab, selector: str, change: Callable[[], None]) -> float:
    """Milliseconds from `change` until what `selector` finds has changed and is painted."""
    before = tab.evaluate(STATE, selector)
    begin = time.perf_counter()
    change()
    tab.evaluate(DRAWN, [selector, before])
    seconds = time.perf_counter() - begin
    driver.settle(tab)
    return 1000 * seconds


def slider(tab, url: str, repeat: int) -> int:
    """One step of the percentile slider, until threshold and counts are repainted."""
    driver.visit(tab, f"{url}/outliers")
    handle = tab.get_by_role("slider", name="Percentile of the training errors")
    handle.focus()
    times = [timed(tab, METRICS, lambda: handle.press("ArrowRight")) for _ in range(repeat + 1)]
    missed = say("percentile slider, 28,709 errors", times[1:], 300, "ms")
    tab.get_by_role("tab", name="Faces").click()
    driver.settle(tab)
    times = [timed(tab, f"{METRICS}, {FACES}", lambda: handle.press("ArrowLeft")) for _ in range(repeat + 1)]
    return missed + say("the same with the faces beside it", times[1:], 300, "ms")


def turning_pages(tab, url: str, repeat: int) -> int:
    """Another page of 100 faces of train."""
    driver.visit(tab, f"{url}/explore?look=Samples&samples=All+in+pages")
    following = tab.get_by_test_id("stPagination").get_by_role("button").last
    times = [timed(tab, FACES, following.click) for _ in range(repeat + 1)]
    shown = tab.locator(f"{FACES} figure").count()
    if shown != 100:
        print(f"a page shows {shown} faces, not 100")
        return 1
    return say("a page of 100 faces", times[1:], 300, "ms")


def augmenting(tab, url: str, repeat: int) -> int:
    """One step of the rotation slider, until the variants are repainted."""
    driver.visit(tab, f"{url}/augment")
    handle = tab.get_by_role("slider", name="Rotation (°)")
    handle.focus()
    times = [timed(tab, FACES, lambda: handle.press("ArrowRight")) for _ in range(repeat + 1)]
    return say("augmentation, one slider changed", times[1:], 400, "ms")


if __name__ == "__main__":
    sys.exit(main())
