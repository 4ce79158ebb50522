"""The protocol card: under which conditions a score was obtained, and what to be careful about.

A figure without its protocol cannot be compared: published FER-2013 results differ in the split, in how
the checkpoint was chosen, in test-time augmentation and in pretraining.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fer.data.dataset import list_datasets
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.trained import TrainedRun, trained_run
from fer.models import MODELS
from fer.storage import read_json

# The best published figure is a seven-network ensemble on PrivateTest (see README); more is a leak.
HIGHEST_CREDIBLE_ACCURACY = 0.768
LEAKS_WORTH_A_WARNING = 0.01
TEST_PARTS = ("test", "PublicTest", "PrivateTest")


@dataclass(frozen=True)
class ProtocolCard:
    """Sentences for the card beside a score; `exclusions` and `warnings` may be empty."""

    split: str
    checkpoint: str
    test_time_augmentation: str
    pretraining: str
    seed: str
    exclusions: list[str]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def protocol_card(run: Any, report: dict[str, Any] | None = None, split: str = "test") -> ProtocolCard:
    """The card of a run; with its `report`, also what the figures themselves give away."""
    run = trained_run(run)
    split = report["split"] if report else split
    return ProtocolCard(
        split=_split(run, split, report),
        checkpoint=_checkpoint(run),
        test_time_augmentation="none: one prediction of the unchanged image",
        pretraining=_pretraining(run),
        seed=_seed(run),
        exclusions=_exclusions(run),
        warnings=_warnings(run, split, report),
    )


def chosen_epoch(run: Any) -> dict[str, float] | None:
    """The row of the history whose weights became `best.keras`; None without a history."""
    run = trained_run(run)
    monitor = run.config.get("checkpoint_monitor") or "val_accuracy"
    monitor = "epoch" if monitor == "last" else monitor
    rows = [row for row in run.history if monitor in row and np.isfinite(row[monitor])]
    if not rows:
        return None
    choose = min if monitor.endswith("loss") else max
    return choose(rows, key=lambda row: row[monitor])


def _split(run: TrainedRun, split: str, report: dict[str, Any] | None) -> str:
    images = f", {report['images']:,} images of {report['dataset_name']}" if report else ""
    if run.config.get("imported"):
        return f"{split}{images}; trained elsewhere, unknown data: leak status unknown"
    settings = run.config.get("split") or {}
    scheme = settings.get("scheme", "release")
    how = {
        "release": f"{settings.get('validation_fraction', 0.2):.0%} of each class of train for validation",
        "kfold": f"fold {settings.get('fold', 0) + 1} of {settings.get('folds', 5)} for validation",
        "64/16/20": "train, validation and test all drawn from the training images (study C)",
    }.get(scheme, scheme)
    return f"{split}{images}; {'trained on another data set, ' if _elsewhere(run, report) else ''}{how}"


def _elsewhere(run: TrainedRun, report: dict[str, Any] | None) -> bool:
    """Whether the report is about another data set than the run's own."""
    return report is not None and run.fingerprint not in ("", report["dataset"])


def _checkpoint(run: TrainedRun) -> str:
    if run.config.get("imported"):
        return "unknown: trained elsewhere"
    monitor = run.config.get("checkpoint_monitor") or "val_accuracy"
    row = chosen_epoch(run)
    epoch = f", epoch {int(row['epoch'])} of {len(run.history)}" if row else ""
    best = run.directory / "best.json"
    if best.is_file() and read_json(best).get("settled"):
        epoch += "; then BatchNorm's statistics of the un-augmented training images"
    if monitor == "last":
        return f"the last epoch, whatever validation said{epoch}"
    direction = "lowest" if monitor.endswith("loss") else "highest"
    return f"{direction} {monitor} on the validation split{epoch}"


def _pretraining(run: TrainedRun) -> str:
    if run.config.get("imported"):
        return "unknown: trained elsewhere"
    if run.config.get("smote"):
        return f"all layers but the last from run {run.config['smote']!r} (SMOTE in its features)"
    if run.config.get("initial") or run.config.get("teachers"):
        return _forerunners(run)
    spec = MODELS.get(str(run.config.get("model")))
    options = {**(spec.options if spec else {}), **(run.config.get("model_options") or {})}
    weights = options.get("weights")
    if weights == "imagenet":
        return "ImageNet weights in the backbone"
    return f"weights from {weights}" if weights else "none: trained from random weights"


def _forerunners(run: TrainedRun) -> str:
    parts = []
    if run.config.get("initial"):
        parts.append(f"started from the weights of run {run.config['initial']!r}")
    if run.config.get("teachers"):
        names = ", ".join(repr(name) for name in run.config["teachers"])
        parts.append(f"labels softened by the answers of {names} (share {run.config.get('distillation'):g})")
    return "; ".join(parts)


def _seed(run: TrainedRun) -> str:
    seed = run.config.get("seed")
    return (
        "not recorded" if seed is None else f"{seed}; split {(run.config.get('split') or {}).get('seed', 0)}"
    )


def _exclusions(run: TrainedRun) -> list[str]:
    found = []
    removed = [name for name in EMOTIONS if name not in run.classes]
    if removed:
        found.append(f"without the class{'es' if len(removed) > 1 else ''} {', '.join(removed)}")
    if run.config.get("selection"):
        used = run.environment.get("selection") or run.config["selection"]
        found.append(f"training and validation images by selection {used!r}")
    per_class = (run.config.get("split") or {}).get("per_class")
    if per_class:
        found.append(f"at most {per_class:,} training images of each class")
    if run.config.get("limit"):
        found.append(f"a quick run: at most {run.config['limit']:,} images to train on")
    return found


def _warnings(run: TrainedRun, split: str, report: dict[str, Any] | None) -> list[str]:
    found = []
    try:
        shared = _shared(run, "test", "train") + _shared(run, "test", "validation")
    except UserError as error:
        shared, found = 0, [str(error)]
    if shared:
        found.append(f"{shared:,} test images were trained or validated on: the test split is not a test.")
    own = not _elsewhere(run, report)
    if split == "validation" and own:
        found.append("The checkpoint was chosen on this split, so its figures flatter the run.")
    if split == "train" and own:
        found.append("These images were trained on; the figures say nothing about new faces.")
    if run.config.get("imported"):
        found.append("Trained elsewhere, unknown data: leak status unknown. It may have seen these images.")
    elif run.hashes is None:
        found.append("The run does not record which pixels it saw, so leaked images cannot be counted.")
    if run.config.get("generated"):
        used = run.environment.get("generated") or run.config["generated"]
        count = (run.environment.get("images") or {}).get("generated", 0)
        found.append(f"{count:,} generated faces ({used}) trained it beside the real ones; these are real.")
    if len(run.classes) < len(EMOTIONS):
        found.append("Fewer classes make the task easier; compare with runs of the same classes.")
    if (run.config.get("split") or {}).get("scheme") == "64/16/20" and split == "test" and own:
        found.append("The test images come from the training part; compare with PublicTest for other runs.")
    return found + (_figure_warnings(split, report) if report else [])


def _figure_warnings(split: str, report: dict[str, Any]) -> list[str]:
    found = []
    images, leaked = report["images"], report["leaked"] or 0
    if split in TEST_PARTS and leaked >= LEAKS_WORTH_A_WARNING * images:
        without = report["accuracy_without_leaks"]
        gain = (
            ""
            if without is None
            else f" They lift the accuracy by {100 * (report['accuracy'] - without):.1f} points."
        )
        found.append(
            f"{leaked:,} of {images:,} images are pixel-identical to ones it was trained or "
            f"validated on.{gain}"
        )
    is_fer = {"PublicTest", "PrivateTest"} & {split, *report["parts"]} and not _drawn(report["dataset"])
    if is_fer and report["accuracy"] > HIGHEST_CREDIBLE_ACCURACY:
        found.append(
            f"{report['accuracy']:.1%} is above the best published figure (76.8 %, seven networks): "
            "look for a leak before believing it."
        )
    if images < 500:
        low, high = report["interval"]
        found.append(f"Only {images:,} images: the accuracy may as well be {low:.0%} or {high:.0%}.")
    return found


def _shared(run: TrainedRun, a: str, b: str) -> int:
    none = np.zeros(0, np.int64)
    return len(np.intersect1d(run.splits.get(a, none), run.splits.get(b, none)))


def _drawn(fingerprint: str) -> bool:
    """Whether a data set is the demo faces, which are named like FER-2013's but easier."""
    return any(i.fingerprint == fingerprint and i.source == "demo" for i in list_datasets())
