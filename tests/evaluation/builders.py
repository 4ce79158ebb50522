"""Small data sets and run directories made by hand, as the contract describes them."""

import json
from pathlib import Path

import numpy as np

from fer.data.dataset import Dataset, pixel_hashes, save_dataset
from fer.emotions import EMOTIONS


def tiny_dataset(name="tiny", per_class=6, seed=0, leaks=0, splits=("train", "test"), parts=False) -> Dataset:
    """`per_class` random images of each class in each split; the first `leaks` test images repeat train."""
    rng = np.random.default_rng(seed)
    count = per_class * len(EMOTIONS)
    images, labels, codes, names = [], [], [], []
    for split in splits:
        code = ("train", "validation", "test").index(split)
        block = rng.integers(0, 256, (count, 48, 48), dtype=np.uint8)
        if split == "test" and leaks:
            block[:leaks] = images[0][:leaks]
        images.append(block)
        labels.append(np.tile(np.arange(len(EMOTIONS)), per_class))
        codes.append(np.full(count, code))
        for n in range(count):
            part = ("PublicTest", "PrivateTest")[n % 2] if parts and split == "test" else "Training"
            names.append(f"{split}/{EMOTIONS[n % 7]}/{part}_{seed}{n}.jpg")
    return save_dataset(name, np.concatenate(images), np.concatenate(labels), np.concatenate(codes), names)


def tiny_run(
    directory: Path, dataset: Dataset, classes=EMOTIONS, model=None, weights_seed=0, **config
) -> Path:
    """A run directory as `fer.training.fit` leaves it, with an untrained baseline CNN."""
    import keras

    from fer.models import MODELS
    from fer.models.loading import save_model

    directory.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(weights_seed)
    model = model or MODELS["baseline_cnn"].build(classes=len(classes))
    save_model(model, directory / "best.keras")
    write_facts(directory, dataset, classes, model.count_params(), **config)
    return directory


def write_facts(directory: Path, dataset: Dataset, classes=EMOTIONS, parameters=57_527, **config) -> Path:
    """Everything of a run directory but the network and its predictions."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "dataset": dataset.fingerprint,
        "recipe": "baseline_cnn",
        "model": "baseline_cnn",
        "classes": list(classes),
        "seed": 0,
        "split": {"scheme": "release", "validation_fraction": 0.2, "seed": 0},
        "selection": "",
        "checkpoint_monitor": "val_accuracy",
    } | config
    (directory / "config.json").write_text(json.dumps({"format": 1, "kind": "train", "config": content}))
    known = np.isin(dataset.labels, [EMOTIONS.index(name) for name in classes])
    train = dataset.indices("train")
    train = train[known[train]]
    splits = {"train": train[::2], "validation": train[1::2]}
    splits["test"] = dataset.indices("test")[known[dataset.indices("test")]]
    np.savez(directory / "splits.npz", **splits)
    np.save(directory / "hashes.npy", pixel_hashes(dataset.images[train]))
    (directory / "model.json").write_text(json.dumps({"parameters": parameters, "classes": list(classes)}))
    (directory / "history.csv").write_text(
        "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n"
        "1,1.9,0.2,1.8,0.25,0.001,2.0\n2,1.7,0.3,1.6,0.35,0.001,2.5\n3,1.5,0.4,1.7,0.3,0.001,2.5\n4,1.4"
    )
    return directory
