"""Images per second of one training epoch: the studies' way against ours, same model, same machine, one run.

    python -m tests.benchmarks.training DATASET [--images 5000] [--augmentation A|none]

The studies' way is `ImageDataGenerator.flow_from_directory` on JPEG files, batch 32, float32: every epoch
decodes every file and warps it with SciPy, one after the other, on the host. Keras 3 still has the class
(`keras.src.legacy`). Without augmentation they also read by `image_dataset_from_directory`, which is the
faster way and compared too. Ours is the loop `fer.training.fit` runs: images in memory, one affine sample per
image compiled by XLA. Each part of the gain is a line: first in float32 with their batch, then with
bfloat16, then with a larger batch. Beside the wall-clock rate stands the processor time, which other
programs disturb less. The first epoch of each way (compilation) is not counted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fer.augmentation import PRESETS, preset
from fer.data.dataset import Dataset, open_dataset
from fer.emotions import EMOTIONS

STUDY_A = {
    "rotation_range": 30, "width_shift_range": 0.1, "height_shift_range": 0.1, "shear_range": 0.1,
    "zoom_range": 0.2, "horizontal_flip": True, "fill_mode": "nearest",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--augmentation", choices=list(PRESETS), default="A")
    parser.add_argument("--model", default="baseline_cnn")
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    chosen = np.random.default_rng(0).permutation(dataset.indices("train"))[: arguments.images]
    ways: dict[str, Callable[[], None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_files(dataset, chosen, Path(folder))
        ways["studies: ImageDataGenerator, float32, batch 32"] = studies(folder, arguments)
        if arguments.augmentation == "none":
            ways["studies: image_dataset_from_directory, batch 32"] = from_directory(folder, arguments)
        for policy, batch in (
            ("float32", 32),
            ("mixed_bfloat16", 32),
            ("mixed_bfloat16", 64),
            ("mixed_bfloat16", 128),
        ):
            ways[f"ours, {policy}, batch {batch}"] = ours(dataset, chosen, arguments, policy, batch)
        for run in ways.values():
            run()  # compile
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        work: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.repeats):  # in turn, so that a drifting machine is fair to all
            for name, run in ways.items():
                started = time.perf_counter(), time.process_time()
                run()
                seconds[name].append(time.perf_counter() - started[0])
                work[name].append(time.process_time() - started[1])
    first, first_work = min(next(iter(seconds.values()))), min(next(iter(work.values())))
    print(
        f"{arguments.model}, {len(chosen):,} images, augmentation {arguments.augmentation}, best of repeats"
    )
    for name, measured in seconds.items():
        print(
            f"{name:48s} {len(chosen) / min(measured):6.0f} images/s {first / min(measured):5.2f}×   "
            f"{min(work[name]) / len(chosen) * 1e3:6.2f} ms of processor an image "
            f"{first_work / min(work[name]):5.2f}×"
        )


def write_files(dataset: Dataset, chosen: np.ndarray, folder: Path) -> None:
    """The images as the release has them: one JPEG per face in a folder per class."""
    import cv2

    for name in EMOTIONS:
        (folder / name).mkdir()
    for index in chosen:
        cv2.imwrite(
            str(folder / EMOTIONS[dataset.labels[index]] / f"{index}.jpg"), np.array(dataset.images[index])
        )


def studies(folder: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """One epoch as studies A to C trained."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    options = STUDY_A if arguments.augmentation == "A" else {}
    model = compiled(arguments.model)
    flow = ImageDataGenerator(rescale=1 / 255, **options).flow_from_directory(
        folder, target_size=(48, 48), color_mode="grayscale", class_mode="categorical", batch_size=32
    )
    return lambda: model.fit(flow, epochs=1, verbose=0)


def from_directory(folder: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """One epoch over files that `image_dataset_from_directory` decodes and prefetches in parallel."""
    import keras
    import tensorflow as tf

    model = compiled(arguments.model)
    files = keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        color_mode="grayscale",
        image_size=(48, 48),
        batch_size=32,
        verbose=False,
    )
    scaled = files.map(lambda images, labels: (images / 255, labels), num_parallel_calls=tf.data.AUTOTUNE)
    flow = scaled.prefetch(tf.data.AUTOTUNE)
    return lambda: model.fit(flow, epochs=1, verbose=0)


def compiled(name: str) -> Any:
    """The model as the studies compiled theirs."""
    import keras

    from fer.models import MODELS

    keras.config.set_dtype_policy("float32")
    model = MODELS[name].build()
    model.compile(
        keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


def ours(
    dataset: Dataset, chosen: np.ndarray, arguments: argparse.Namespace, policy: str, batch: int
) -> Callable[[], None]:
    """One epoch of `fit`'s loop, without its validation."""
    from fer.training import network
    from fer.training.ahead import ahead
    from fer.training.config import Phase, TrainConfig
    from fer.training.data import Batch, Batches, TrainingData

    config = TrainConfig(
        dataset=dataset.fingerprint,
        model=arguments.model,
        batch_size=batch,
        augmentation=preset(arguments.augmentation),
    )
    labels = dataset.labels.astype(np.int64)
    data = TrainingData(dataset, "", {"train": chosen}, np.array(dataset.images), labels, dataset.labels)
    model = network.build_network(config, policy)
    trainer = network.compile_for(model, config, Phase(), policy)
    prepare = network.preparer(config.augmentation, mixes=False)
    batches = Batches(config, data, chosen, 0, True, np.ones(7, dtype=np.float32))

    def epoch() -> None:
        order = batches.order(0)

        def make(step: int) -> tuple[Batch, object]:
            read = batches.batch(order, 0, step)
            return read, prepare(read)

        for _, (read, images) in ahead(make, 0, batches.steps):
            logs = trainer.train_on_batch(images, read.targets, sample_weight=read.weights, return_dict=True)
            float(logs["loss"])  # as the loop does, to notice a loss that is not a number

    return epoch


if __name__ == "__main__":
    main()
