"""The background job `maximise`: for each class, the picture a run's network is most certain of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer.evaluation.inference import Stopped
from fer.evaluation.trained import trained_run
from fer.explanation.runs import class_picture

STEPS = 200


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Callable[[float, str], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Make and keep the pictures that are missing.

    Args:
        config: `run` (id or name); `targets` (class names; all the run knows when missing).

    Returns:
        `metrics`: `pictures`, how many there are now.
    """
    from fer.evaluation.predictions import load_network
    from fer.runs import open_run

    target_run = trained_run(open_run(config["run"]))
    targets = list(config.get("targets") or target_run.classes)
    network, made = None, 0
    for number, target in enumerate(targets):

        def report(fraction: float, text: str, number: int = number, target: str = target) -> None:
            progress((number + fraction) / len(targets), f"{target}: {text}")

        if class_picture(target_run, target) is None:
            network = network or load_network(target_run)
            try:
                class_picture(target_run, target, network, STEPS, report, should_stop)
            except Stopped:
                return {"stopped": True, "metrics": {"pictures": made}}
        made += 1
    progress(1.0, "done")
    return {"stopped": False, "metrics": {"pictures": made}}
