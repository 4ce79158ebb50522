"""How fast Compare opens with eight runs on 7,178 test images, and how fast a Grad-CAM map is.

    python -m tests.benchmarks.comparison

Makes a data set of FER-2013's size (35,887 random images), eight networks with predictions made up for its
7,178 test images, opens every view of the page in Chromium and times it by wall clock: once cold, then warm.
Prints one line a figure with the limit of the issue; ends with status 1 when one is missed. Run it on a
machine that does nothing else.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.dashboard import say
from tests.browser import driver

TRAIN, PART, RUNS = 28_709, 3_589, 8
VIEWS = ("Scores", "Per class", "Confusion", "Errors", "Calibration", "Curves", "Ensemble", "Other data")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fer-benchmark-") as scratch:
        os.environ |= {"FER_CACHE": scratch, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        names = make(Path(scratch))
        missed = views(Path(scratch), names, options.repeat)
        missed += grad_cam()
    return 1 if missed else 0


def make(cache: Path) -> list[str]:
    """The data set and the runs; returns their names."""
    from fer import storage
    from fer.data.dataset import save_dataset
    from fer.evaluation.predictions import Predictions, predictions_path, store_predictions
    from fer.evaluation.trained import trained_run
    from tests.evaluation.builders import tiny_run

    generator = np.random.default_rng(0)
    count = TRAIN + 2 * PART
    images = generator.integers(0, 256, (count, 48, 48), dtype=np.uint8)
    labels = generator.integers(0, 7, count)
    parts = np.repeat(["Training", "PublicTest", "PrivateTest"], [TRAIN, PART, PART])
    files = [f"{'train' if part == 'Training' else 'test'}/{part}_{n}.jpg" for n, part in enumerate(parts)]
    dataset = save_dataset("As large as FER-2013", images, labels, np.where(parts == "Training", 0, 2), files)
    names = []
    for seed in range(RUNS):
        folder = tiny_run(cache / "runs" / f"baseline_cnn-{seed}", dataset, weights_seed=seed, seed=seed)
        content = storage.read_json(folder / "config.json")
        storage.write_json(
            folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9 + seed}
        )
        storage.write_json(folder / "status.json", {"state": "finished", "started": 1e9, "ended": 1e9 + 60})
        storage.write_json(folder / "labels.json", {"name": f"run {seed}"})
        run = trained_run(folder)
        indices = np.sort(np.concatenate([run.splits["test"], run.splits["validation"]]))
        logits = generator.normal(size=(len(indices), 7)) + 2.5 * np.eye(7)[dataset.labels[indices]]
        answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        codes = np.where(np.isin(indices, run.splits["test"]), 2, 1).astype(np.uint8)
        stored = Predictions(indices, answers.astype(np.float32), codes, run.stamp, 0.001, 1000.0)
        store_predictions(predictions_path(run, dataset.fingerprint), stored)
        names.append(f"run {seed}")
    return names


def views(cache: Path, names: list[str], repeat: int) -> int:
    """Every view: the first time, and the median of the following."""
    missed = 0
    query = "&".join(f"runs={name}" for name in names)
    with driver.serving(cache, cache / "server.log") as url, driver.launched() as chromium:
        tab = chromium.new_page(viewport={"width": 1440, "height": 900})
        for view in VIEWS:
            address = f"{url}/compare?{query}&view={view}"
            cold = opened(tab, address)
            warm = [opened(tab, address) for _ in range(repeat)]
            print(f"{view:12} the first time {cold:.2f} s", flush=True)
            missed += say(f"Compare, 8 runs x 7,178 images, {view}", warm, 2)
            driver.assert_no_exception(tab)
    return missed


def opened(tab, address: str) -> float:
    """Seconds until the page is drawn and at rest."""
    begin = time.perf_counter()
    driver.visit(tab, address)
    return time.perf_counter() - begin - 0.4  # `settle` watches the page at rest for so long


def grad_cam() -> int:
    """One map of one image, after loading, for the small networks of the studies."""
    from fer.explanation import explain
    from fer.models import MODELS

    missed, image = 0, np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    for name in ("baseline_cnn", "unet_attention", "resnet_se", "vit_patch8"):
        model = MODELS[name].build()
        explain(model, image)  # what loading the page does once
        seconds = []
        for _ in range(7):
            begin = time.perf_counter()
            explain(model, image)
            seconds.append(1000 * (time.perf_counter() - begin))
        missed += say(f"Grad-CAM, {name}", [statistics.median(seconds)], 400, "ms")
    return missed


if __name__ == "__main__":
    sys.exit(main())
