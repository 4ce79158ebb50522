"""What many students, many GPUs and a large data set need: the figures behind "Scale on paper" in the README.

    python -m tests.benchmarks.scale [--images 360000] [--runs 40] [--cache CACHE_WITH_TRAININGS]

Imports folders of synthetic JPEGs (a third of `--images`, then all) in processes of their own and prints time
and memory per 100,000 images: anonymous memory, which the system cannot take back (pixels that lie in a file
are cache, which it can). Then sends stub runs through the queue with eight pretended GPUs and with one, and
adds up the folders of real trainings. Ends with status 1 when memory is not flat or one slot idles above 2 s.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

FLAT_MB_PER_100K = 25  # names of the files; the pixels alone would be 230
GPUS = 8


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=360_000)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--cache", type=Path, help="a cache with finished trainings, for storage per run")
    parser.add_argument("--import-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.import_only:
        return child(options.import_only)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="fer-benchmark-", ignore_cleanup_errors=True) as scratch:
        missed += importing(Path(scratch), options.images)
        queue(Path(scratch) / "eight", options.runs, GPUS)
        missed += queue(Path(scratch) / "one", 10, 1)
    if options.cache:
        storage_per_run(options.cache)
    return 1 if missed else 0


def importing(scratch: Path, images: int) -> int:
    """Two sizes, so that what grows with the images can be told from what does not."""
    found = []
    for count in (images // 3, images):
        source = scratch / f"{count}"
        synthetic(source, count)
        environment = os.environ | {"FER_CACHE": str(scratch / f"cache-{count}")}
        command = [sys.executable, "-m", "tests.benchmarks.scale", "--import-only", str(source / "release")]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        found.append(json.loads(output.splitlines()[-1]))
        seconds, memory = found[-1]["seconds"], found[-1]["anonymous_mb"]
        print(f"import of {count:,} JPEGs: {seconds:.1f} s, {memory:.0f} MB anonymous memory at most, "
              f"{found[-1]['resident_mb']:.0f} MB resident with file cache, "
              f"{found[-1]['stored_mb']:.0f} MB stored", flush=True)  # fmt: skip
        shutil.rmtree(source)
    small, large = found
    step = (large["images"] - small["images"]) / 100_000
    growth = (large["anonymous_mb"] - small["anonymous_mb"]) / step
    rate = (large["seconds"] - small["seconds"]) / step
    flat = growth <= FLAT_MB_PER_100K
    print(f"per 100,000 images: {rate:.1f} s, {growth:.0f} MB of memory "
          f"(limit {FLAT_MB_PER_100K}) {'ok' if flat else 'NOT FLAT'}", flush=True)  # fmt: skip
    return int(not flat)


def synthetic(folder: Path, count: int) -> None:
    """A folder of `count` grey JPEGs of 48 x 48 in the release's layout.

    They are links to 2,000 pictures: reading and decoding is the same work, and the disk stays free.
    """
    import cv2

    from fer.emotions import EMOTIONS

    generator = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for n in range(2000):
        small = generator.integers(0, 256, (6, 6), dtype=np.uint8)
        picture = cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(pictures / f"{n}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    for split in ("train", "test"):
        for emotion in EMOTIONS:
            (folder / "release" / split / emotion).mkdir(parents=True)
    for n in range(count):
        split = "test" if n % 5 == 0 else "train"
        os.link(
            pictures / f"{n % 2000}.jpg", folder / "release" / split / EMOTIONS[n % 7] / f"image_{n:07d}.jpg"
        )


def child(source: Path) -> int:
    """Import in this process and report its peak memory."""
    from fer.data.sources import import_source
    from fer.storage import folder_size

    peak, ended = {"RssAnon": 0, "VmRSS": 0}, threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peak:
                    peak[name] = max(peak[name], int(value.split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    result = import_source(source, name="synthetic")
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    print(json.dumps({
        "images": len(result.dataset), "seconds": seconds, "anonymous_mb": peak["RssAnon"] / 1024,
        "resident_mb": peak["VmRSS"] / 1024, "stored_mb": folder_size(result.dataset.directory) / 1e6,
    }))  # fmt: skip
    return 0


def queue(cache: Path, count: int, slots: int) -> int:
    """Stub runs of half a second on pretended GPUs: how fast they enter, how long a slot idles.

    With more slots than processor cores the starts of the processes compete: only one slot has a limit.
    """
    cache.mkdir()
    os.environ |= {"FER_CACHE": str(cache), "FER_FAKE_GPUS": str(slots), "FER_DISPATCHER_IDLE": "2"}
    os.environ["FER_TEST_JOBS"] = "train=tests.runs.stub_jobs:work"
    from fer import runs
    from tests.runs.runkit import events

    log = cache / "events"
    began = time.perf_counter()
    made = []
    for _ in range(count):
        made.append(runs.create_run({"epochs": 1, "seconds": 0.5, "events": str(log)}))
        runs.submit(made[-1])
    entered = time.perf_counter() - began
    states = {runs.wait(run, 600).state for run in made}
    took = time.perf_counter() - began
    ends: dict[str, float] = {}
    gaps = []
    for moment, what, _, device, _ in events(log):
        if what == "start" and device in ends:
            gaps.append(moment - ends[device])
        elif what == "end":
            ends[device] = moment
    idle, longest = statistics.median(gaps), max(gaps)
    print(
        f"queue: {count} runs entered in {entered:.1f} s, all {sorted(states)} after {took:.1f} s on {slots} "
        f"pretended GPU{'s' * (slots > 1)}: {60 * count / took:.0f} runs a minute; a slot idles {idle:.2f} s "
        f"between runs (longest {longest:.2f} s{', limit 2' if slots == 1 else ''})",
        flush=True,
    )
    return int(states != {"finished"} or longest > 2)


def storage_per_run(cache: Path) -> None:
    """Folder sizes of the finished trainings of a cache."""
    os.environ["FER_CACHE"] = str(cache.resolve())
    from fer.runs import list_runs
    from fer.storage import folder_size

    for run in list_runs():
        if run.kind == "train" and (run.directory / "best.keras").exists():
            model = (run.directory / "best.keras").stat().st_size / 1e6
            resume = folder_size(run.directory / "last") / 1e6
            total = folder_size(run.directory) / 1e6
            print(
                f"storage of {run.name} ({run.recipe}): {total:.1f} MB, of it network {model:.1f}, state "
                f"for Resume {resume:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
