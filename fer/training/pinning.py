"""What a config names without a version, in the version it has now: a later edit must not change a run.

Every new training comes through here, so what would have no effect in it is refused here too.
"""

from typing import TYPE_CHECKING, Any

from fer.errors import UserError
from fer.training.config import TrainConfig
from fer.training.effects import check_effects

if TYPE_CHECKING:
    from fer.runs import Run


def pinned(content: dict[str, Any]) -> dict[str, Any]:
    """A training config's JSON with its selection and its generated set as `name@version`.

    What cannot be opened stays as it is: the training says what is wrong with it.

    Raises:
        UserError: `check_effects` refuses it.
    """
    from fer.data.dataset import open_dataset
    from fer.data.selection import open_selection
    from fer.generation.dataset import open_set

    _check(content)
    try:
        selection, generated = content.get("selection"), content.get("generated")
        if selection and "@" not in selection:
            reference = open_selection(open_dataset(content["dataset"]), selection).reference
            content = content | {"selection": reference}
        if generated and "@" not in generated:
            content = content | {"generated": open_set(generated).reference}
    except (UserError, OSError, KeyError, TypeError, ValueError):
        pass
    return content


def selection_used(run: "Run") -> str:
    """The selection a run trained on as `name@version`, '' for none; old configs have the name alone."""
    from fer.evaluation.trained import trained_run

    chosen = str(run.config.get("selection") or "")
    if not chosen or "@" in chosen:
        return chosen
    return str(trained_run(run).environment.get("selection") or chosen)


def _check(content: dict[str, Any]) -> None:
    try:
        config = TrainConfig.from_json(content)
    except UserError:
        return
    check_effects(config)
