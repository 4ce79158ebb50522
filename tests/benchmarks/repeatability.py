"""How far two trainings of one config and one seed come apart where they are not deterministic.

    python -m tests.benchmarks.repeatability DATASET [--recipe baseline_cnn] [--epochs 5] [--limit 4000]

Prints, for `auto` precision, for float32 and for float32 with `deterministic`, the largest difference between
the histories of two runs, each in a process of its own. It belongs to this machine: sums in another order
round differently, and training makes much of little.
"""

import argparse
import csv
import multiprocessing
import tempfile
from pathlib import Path

COLUMNS = ("loss", "val_loss", "val_accuracy")
WAYS = {
    "auto precision": {"precision": "auto"},
    "float32": {"precision": "float32"},
    "float32, deterministic": {"precision": "float32", "deterministic": "true"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--recipe", default="baseline_cnn")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=4000)
    arguments = parser.parse_args()
    print(
        f"{arguments.recipe}, {arguments.epochs} epochs, up to {arguments.limit:,} images, twice with seed 0"
    )
    for way, settings in WAYS.items():
        first, second = (trained(arguments, settings) for _ in range(2))
        apart = {
            name: max(abs(a[name] - b[name]) for a, b in zip(first, second, strict=True)) for name in COLUMNS
        }
        print(f"{way:24s}" + "  ".join(f"{name} {value:.2g}" for name, value in apart.items()))


def trained(arguments: argparse.Namespace, settings: dict[str, str]) -> list[dict[str, float]]:
    """The history of one training, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(
            target=train, args=(arguments, settings, folder)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"The training ended with {process.exitcode}.")
        with open(Path(folder) / "history.csv", encoding="utf-8") as file:
            return [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]


def train(arguments: argparse.Namespace, settings: dict[str, str], folder: str) -> None:
    from fer.data.dataset import open_dataset
    from fer.recipes import recipe_config
    from fer.training.fit import fit

    settings = settings | {"epochs": str(arguments.epochs), "limit": str(arguments.limit), "seed": "0"}
    fit(
        recipe_config(arguments.recipe, open_dataset(arguments.dataset).fingerprint, **settings), Path(folder)
    )


if __name__ == "__main__":
    main()
