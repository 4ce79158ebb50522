"""The starter's model card (Mitchell et al. 2019, "Model Cards for Model Reporting"): JSON and Markdown."""

import os
import platform
import shlex
import time
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.calibration import apply_temperature, expected_calibration_error
from fer.evaluation.metrics import accuracy_interval
from fer.evaluation.predictions import evaluate_run
from fer.evaluation.protocol import protocol_card
from fer.evaluation.report import make_report
from fer.evaluation.trained import CARD, TrainedRun, trained_run

MARKDOWN = "MODEL_CARD.md"
LIMITS = (
    "It names the expression a face shows to the people who labelled FER-2013, who agree with each other "
    "about 65 % of the time. An expression is not a feeling.",
    "FER-2013's faces come from web searches of 2013. They represent neither all ages nor all skin tones nor "
    "all ways of life, and the labels carry no such facts, so its accuracy by group is not known.",
    "It saw 48 × 48 grey pixels of one face, cut out closely. Side views, hands, masks, strong light and "
    "small faces are harder than these figures say; ordinary photos were not measured.",
    "Confidence was calibrated on FER-2013. On other photos it may be too high.",
)
USE = (
    "For learning how such networks work and how often they fail. Not for decisions about people: not "
    "hiring, not grading, not policing, not diagnosis, not watching anyone who has not agreed."
)


def write_card(
    packaged: TrainedRun, source: TrainedRun, dataset: Dataset, fitted: dict[str, Any]
) -> dict[str, Any]:
    """Write `model_card.json` and `MODEL_CARD.md` into the packaged folder; returns the card.

    Args:
        packaged: the folder that ships, its test predictions stored.
        source: the run it was made from.
        fitted: of `fer.prediction.packaging.fitted_temperature`, and the `precision` of the weights.
    """
    parts = [part for part in ("PublicTest", "PrivateTest") if len(dataset.indices(part))] or ["test"]
    protocol = protocol_card(source)
    images = {name: len(indices) for name, indices in source.splits.items()}
    card = {
        "name": "starter",
        "recipe": source.config.get("recipe", ""),
        "parameters": source.model_facts.get("parameters"),
        "file_bytes": packaged.model_path.stat().st_size,
        "stored_as": fitted["precision"],
        "input": "(N, 48, 48, 1) float32 in [0, 1], one face, grey",
        "output": "(N, 7) calibrated probabilities: " + ", ".join(packaged.classes),
        "made": time.strftime("%Y-%m-%d"),
        "made_from": source.name,
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "images": images,
            "note": "Images are not included; hashes.npy holds a hash of the pixels of each one it saw.",
        },
        "protocol": {
            "split": protocol.split,
            "checkpoint": protocol.checkpoint,
            "test_time_augmentation": protocol.test_time_augmentation,
            "pretraining": protocol.pretraining,
            "seed": protocol.seed,
        },
        "validation": fitted["validation"] | {"run": fitted["fitted_on"], "images": fitted["images"]},
        "own_validation": fitted["own_validation"],
        "scores": {part: _scores(packaged, source, dataset, part, fitted["temperature"]) for part in parts},
        "temperature": fitted["temperature"],
        "speed": _speed(packaged, dataset, parts[0]),
        "built_on": _built_on(source),
        "command": _command(source),
        "config": source.config,
        "environment": source.environment,
        "limits": list(LIMITS),
        "responsible_use": USE,
    }
    storage.write_text(packaged.directory / MARKDOWN, as_markdown(card))
    storage.write_json(packaged.directory / CARD, card)  # last: from now on the folder is only read
    return card


def _scores(
    packaged: TrainedRun, source: TrainedRun, dataset: Dataset, split: str, temperature: float
) -> dict[str, Any]:
    """Figures of the packaged network on one part, with and without leaked images, and what packaging did."""
    indices = packaged.indices(dataset, split)
    labels = packaged.labels(dataset, indices, split)
    predictions = evaluate_run(packaged, dataset, (split,))
    report = make_report(packaged, dataset, indices, split, predictions)
    leaked = packaged.leaked(dataset, indices, split)
    clean = np.ones(len(indices), bool) if leaked is None else ~leaked
    without = report["accuracy_without_leaks"]
    answers, original = predictions.of(indices), evaluate_run(source, dataset, (split,)).of(indices)
    assert answers is not None
    assert original is not None
    copied = ("accuracy", "interval", "images", "leaked", "balanced_accuracy", "macro_f1", "log_loss")
    return {key: report[key] for key in copied} | {
        "accuracy_without_leaks": without,
        "interval_without_leaks": None if without is None else accuracy_interval(without, int(clean.sum())),
        "recall": {emotion: report["per_class"][emotion]["recall"] for emotion in packaged.classes},
        "ece_before": expected_calibration_error(labels, original),
        "ece": expected_calibration_error(labels, _calibrated(packaged, answers)),
        "changed_answers": int((answers.argmax(axis=1) != original.argmax(axis=1)).sum()),
        "largest_difference": float(
            np.abs(_calibrated(packaged, answers) - apply_temperature(original, temperature)).max()
        ),
    }


def _calibrated(packaged: TrainedRun, answers: np.ndarray) -> np.ndarray:
    """Answers scaled by what is left in `calibration.json`: nothing when the weights hold it."""
    rest = float(storage.read_json(packaged.directory / "calibration.json")["temperature"])
    return answers if rest == 1 else apply_temperature(answers, rest)


def _speed(packaged: TrainedRun, dataset: Dataset, split: str) -> dict[str, Any]:
    predictions = evaluate_run(packaged, dataset, (split,))
    return {
        "milliseconds_per_face": 1000 * predictions.latency,
        "faces_per_second": predictions.images_per_second,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU asked for",
    }


def _command(source: TrainedRun) -> str:
    from fer.reproduce import command_line
    from fer.training.config import TrainConfig

    try:
        return command_line(TrainConfig.from_json(source.config))
    except (UserError, KeyError, TypeError):
        return ""  # not trained here; the configuration stands below


def _built_on(source: TrainedRun) -> list[str]:
    """Commands that make the runs its weights and softened labels come from, what they need first."""
    from fer.runs import open_run

    found: list[str] = []
    for key in filter(None, (source.config.get("initial"), *(source.config.get("teachers") or ()))):
        try:
            earlier = trained_run(open_run(key))
        except UserError:
            continue  # deleted since; the protocol names it
        made = f"{_command(earlier)} --name {shlex.quote(key)}" if _command(earlier) else ""
        found += [command for command in (*_built_on(earlier), made) if command and command not in found]
    return found


def as_markdown(card: dict[str, Any]) -> str:
    """The card as people read it."""
    data, validation = card["data"], card["validation"]
    images = ", ".join(f"{count:,} {name}" for name, count in data["images"].items() if count)
    lines = [
        "# Model card: starter",
        "",
        f"Seven facial expressions from one 48 × 48 grey face. Recipe `{card['recipe']}`, "
        f"{card['parameters'] or 0:,} parameters, {card['file_bytes'] / 1e6:.2f} MB, weights stored as "
        f"{card['stored_as']}, computed in float32. Made {card['made']} from the run `{card['made_from']}`.",
        "",
        "## Data",
        "",
        f"{data['name']} (fingerprint `{data['fingerprint']}`): {images} images. {data['note']}",
        "",
        "## Protocol",
        "",
        *(f"- {name.replace('_', ' ')}: {text}" for name, text in card["protocol"].items()),
        "- temperature: "
        f"{card['temperature']:.3f}, fitted on the {validation['images']:,} validation images of "
        f"`{validation['run']}` alone, and divided into the last layer's weights",
    ]
    if not card["own_validation"]:
        lines.append(
            f"- this network saw its recipe's validation images too: the recipe was chosen, and the "
            f"temperature fitted, on the run `{validation['run']}`, which had held them out"
        )
    lines += [
        "",
        "## Accuracy",
        "",
        "Brackets are 95 % bootstrap intervals; leaked images are pixel-identical to one it trained or "
        "validated on.",
        "",
        "| | images | accuracy | without leaked images | balanced | macro F1 | log loss |",
        "|---|---|---|---|---|---|---|",
        f"| validation of `{validation['run']}` | {validation['images']:,} | "
        f"{validation['accuracy']:.1%} | – | – | – | – |",
        *(_score_row(part, score) for part, score in card["scores"].items()),
        "",
        "| recall | " + " | ".join(EMOTIONS) + " |",
        "|---" * (len(EMOTIONS) + 1) + "|",
        *(
            f"| {part} | " + " | ".join(_percent(score["recall"].get(e)) for e in EMOTIONS) + " |"
            for part, score in card["scores"].items()
        ),
        "",
        "## Calibration",
        "",
        "Expected calibration error (15 bins), before and after the temperature: validation "
        f"{validation['ece_before']:.4f} → {validation['ece_after']:.4f}"
        + "".join(f"; {p} {s['ece_before']:.4f} → {s['ece']:.4f}" for p, s in card["scores"].items())
        + ".",
        "",
        "Packaging changed "
        + ", ".join(f"{s['changed_answers']} of {s['images']:,} answers" for s in card["scores"].values())
        + " (largest difference of a probability, temperature aside: "
        + f"{max(s['largest_difference'] for s in card['scores'].values()):.1e}).",
        "",
        "## Speed",
        "",
        f"{card['speed']['milliseconds_per_face']:.1f} ms for one face, "
        f"{card['speed']['faces_per_second']:.0f} faces/s in batches ({card['speed']['machine']}), as "
        "measured while this card was written.",
        "",
        "## Limits",
        "",
        *(f"- {text}" for text in card["limits"]),
        "",
        "## Responsible use",
        "",
        card["responsible_use"],
        "",
        "## How it was made",
        "",
        "```",
        *card.get("built_on", ()),
        *([card["command"] + f" --name {shlex.quote(card['made_from'])}"] if card["command"] else []),
        f"python -m fer starter {shlex.quote(card['made_from'])}"
        + ("" if card["own_validation"] else f" --temperature-from {shlex.quote(validation['run'])}"),
        "```",
        "",
        "The whole configuration and the versions are in `model_card.json`.",
        "",
    ]
    return "\n".join(lines)


def _score_row(part: str, score: dict[str, Any]) -> str:
    low, high = score["interval"]
    without = "–"
    if score["accuracy_without_leaks"] is not None:
        below, above = score["interval_without_leaks"]
        without = f"{score['accuracy_without_leaks']:.1%} [{below:.1%}, {above:.1%}]"
    leaked = "" if score["leaked"] is None else f" ({score['leaked']:,} leaked)"
    return (
        f"| {part} | {score['images']:,}{leaked} | {score['accuracy']:.1%} [{low:.1%}, {high:.1%}] | "
        f"{without} | {score['balanced_accuracy']:.1%} | {score['macro_f1']:.3f} | {score['log_loss']:.3f} |"
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
