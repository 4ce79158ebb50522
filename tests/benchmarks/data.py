"""How fast import, audit, denoising and outlier scoring are, and how much faster than the studies' ways.

    python -m tests.benchmarks.data ../fer2013_train_publictest.zip [--images 2000]

Everything works on the whole data set; the studies' slow ways are timed on `--images` images and scaled.
Prints one line a figure with its limit; ends with status 1 when one is missed. Run it on a machine that
does nothing else; only the ratios survive company.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of `work`, and what it returned."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def say(what: str, value: float, unit: str, limit: float, at_least: bool = False) -> int:
    """Print a figure; 1 when it misses its limit."""
    good = value >= limit if at_least else value <= limit
    bound = f"{'at least' if at_least else 'limit'} {limit:g}"
    print(f"{what:58} {value:9.2f} {unit:3} ({bound}) {'ok' if good else 'MISSED'}", flush=True)
    return int(not good)


def importing(source: Path) -> tuple[int, Any]:
    from fer.data.sources import import_source

    seconds, result = timed(lambda: import_source(source, name="benchmark"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    missed = say(f"import {len(result.dataset):,} images", seconds, "s", 8)
    return missed + say("peak memory of the import", peak, "MB", 1000), result.dataset


def reading(dataset: Any) -> int:
    from fer.analysis.statistics import statistics
    from fer.data.audit import audit
    from fer.data.near_duplicates import near_pairs

    missed = say("statistics", timed(lambda: statistics(dataset))[0], "s", 1)
    missed += say("exact audit", timed(lambda: audit(dataset))[0], "s", 10)
    return missed + say(
        "near duplicates (in the background)", timed(lambda: near_pairs(dataset))[0], "s", 120
    )


def denoising(dataset: Any, images: int) -> int:
    import cv2

    from fer.analysis.denoising import DenoiseConfig, denoise_images

    train = dataset.images[dataset.indices("train")]

    def as_the_study() -> None:
        cv2.setNumThreads(1)
        for image in train[:images]:
            colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
            cv2.fastNlMeansDenoisingColored(colour, None, 10, 10, 7, 21)
        cv2.setNumThreads(-1)

    slow = timed(as_the_study)[0] / images * len(train)
    fast = timed(lambda: denoise_images(train, DenoiseConfig()))[0]
    missed = say(f"non-local means, {len(train):,} images", fast, "s", 45)
    return missed + say("  times as fast as colour, one at a time", slow / fast, "x", 3, at_least=True)


def outliers(dataset: Any, images: int) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from fer.analysis.outlier_scoring import reconstruct
    from fer.analysis.outliers import Scores, flag
    from fer.data.splits import SplitConfig, split_indices
    from fer.models.autoencoder import build

    model = build()
    chosen = split_indices(dataset, SplitConfig())["train"]
    pixels = dataset.images[chosen[:images], ..., None].astype(np.float32) / 255

    def as_the_study() -> list[Any]:
        batches = (pixels[start : start + 32] for start in range(0, images, 32))
        return [np.square(model.predict(batch, verbose=0) - batch).mean(axis=(1, 2, 3)) for batch in batches]

    reconstruct(model, dataset.images, chosen[:256])
    model.predict(pixels[:32], verbose=0)
    slow = timed(as_the_study)[0] / images * len(chosen)
    fast, found = timed(lambda: reconstruct(model, dataset.images, chosen))
    missed = say(f"autoencoder scores of {len(chosen):,} images", fast, "s", 15)
    missed += say("  times as fast as predict per batch of 32", slow / fast, "x", 3, at_least=True)
    every = np.zeros(len(dataset), np.float32)
    every[chosen] = found.errors
    seconds = timed(lambda: flag(dataset, Scores("autoencoder", every), 97.5))[0]
    return missed + say("moving the percentile slider (all of train)", 1000 * seconds, "ms", 300)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fer-benchmark-") as scratch:
        os.environ["FER_CACHE"] = scratch
        missed, dataset = importing(options.source)
        missed += reading(dataset) + denoising(dataset, options.images) + outliers(dataset, options.images)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
