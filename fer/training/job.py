"""The job `train` of `fer.runs`: a config's JSON in, `fit`'s result out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer.training.config import TrainConfig


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Callable[[float, str], None] | None,
    should_stop: Callable[[], bool] | None,
) -> dict[str, Any]:
    """Train; returns `{"stopped": bool, "metrics": dict}`. Raises what `fit` raises."""
    checked = TrainConfig.from_json(config)
    from fer.training.fit import fit  # imports keras, which a config that cannot be used need not wait for

    result = fit(checked, directory, progress, should_stop)
    return {"stopped": result.stopped, "metrics": result.metrics}
