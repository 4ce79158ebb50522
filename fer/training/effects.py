"""Settings that SMOTE would leave without effect: refused before a training begins.

They are not checked in `TrainConfig`: earlier versions trained some of them, and their runs must still open.
"""

from fer.errors import UserError
from fer.training.config import TrainConfig


def check_effects(config: TrainConfig) -> None:
    """Raise `UserError` for settings beside which SMOTE balances, and trains on features of real faces."""
    if config.smote:
        _check_run(config)
    elif any(phase.images == "smote" for phase in config.phases):
        _check_phase(config)


def _check_run(config: TrainConfig) -> None:
    names = _named(
        {
            "class_weights": config.class_weights != "none",
            "oversample": bool(config.oversample),
            "mixup": bool(config.mixup),
            "cutmix": bool(config.cutmix),
            "augmentation": config.augmentation.active and any(phase.augment for phase in config.phases),
            "settle": config.settle,
            "phases": any(phase.images == "hard" for phase in config.phases),
            "hard_samples": bool(config.hard_samples),
        }
    )
    if names:
        raise UserError(
            f"SMOTE ({config.smote!r}) balances the features of a finished network by itself; "
            f"{names} would have no effect. Leave out one or the other."
        )


def _check_phase(config: TrainConfig) -> None:
    names = _named({"generated": bool(config.generated), "teachers": bool(config.teachers)})
    if names:
        phase = next(phase for phase in config.phases if phase.images == "smote")
        raise UserError(
            f"Phase {phase.name!r} trains the last layer on features of real faces and their labels, which "
            f"SMOTE balances; {names} would have no effect in it. Leave out one or the other."
        )


def _named(settings: dict[str, bool]) -> str:
    return " and ".join(name for name, is_set in settings.items() if is_set)
