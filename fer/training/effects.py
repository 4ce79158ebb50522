"""Settings that SMOTE in the features of another run would leave without effect: refused before it begins.

They are not checked in `TrainConfig`: earlier versions trained some of them, and their runs must still open.
"""

from fer.errors import UserError
from fer.training.config import TrainConfig


def check_effects(config: TrainConfig) -> None:
    """Raise `UserError` for settings beside which `smote` balances, and trains on features, all the same."""
    if not config.smote:
        return
    settings = {
        "class_weights": config.class_weights != "none",
        "oversample": bool(config.oversample),
        "mixup": bool(config.mixup),
        "cutmix": bool(config.cutmix),
        "augmentation": config.augmentation.active and any(phase.augment for phase in config.phases),
        "settle": config.settle,
        "phases": any(phase.images == "hard" for phase in config.phases),
        "hard_samples": bool(config.hard_samples),
    }
    names = [name for name, is_set in settings.items() if is_set]
    if names:
        raise UserError(
            f"SMOTE ({config.smote!r}) balances the features of a finished network by itself; "
            f"{' and '.join(names)} would have no effect. Leave out one or the other."
        )
