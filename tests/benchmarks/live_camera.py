"""Pictures a second of the live camera, end to end: Chromium with a drawn face, the server, the answer.

    python -m tests.benchmarks.live_camera [--runs ID,ID] [--seconds 10]

Uses the runs of FER_CACHE (the starter by default). The aim is at least 5 a second on 2 cores; the page asks
for at most 15, so that a training beside it keeps its processor. The first two seconds are not counted.
"""

import argparse
import tempfile
import time
from pathlib import Path

from fer.storage import cache_directory
from tests.browser import driver, fakecamera


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    chosen = f"&runs={options.runs}" if options.runs else ""
    with tempfile.TemporaryDirectory() as folder:
        arguments = fakecamera.chromium_arguments(fakecamera.write_video(Path(folder) / "face.y4m"))
        with driver.serving(cache_directory()) as url, driver.launched(arguments) as browser:
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            driver.visit(page, f"{url}/predict?photos=Live+camera{chosen}")
            page.get_by_role("button", name="Start the camera").click()
            camera = page.locator(".camera")
            camera.locator(".face").first.wait_for(timeout=120_000)
            page.wait_for_timeout(2000)
            first, started = int(camera.get_attribute("data-frames") or 0), time.perf_counter()
            page.wait_for_timeout(1000 * options.seconds)
            shown = int(camera.get_attribute("data-frames") or 0) - first
            seconds = time.perf_counter() - started
            busy = float(camera.get_attribute("data-milliseconds") or "nan")
            print(
                f"{shown} pictures in {seconds:.1f} s: {shown / seconds:.1f} a second, "
                f"{busy:.0f} ms each in the server"
            )


if __name__ == "__main__":
    main()
