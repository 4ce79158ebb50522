"""Named augmentations: the built-in ones and those the user saved under `cache/presets/`."""

from pathlib import Path

from fer import storage
from fer.augmentation.config import PRESETS, AugmentationConfig
from fer.data.dataset import check_name
from fer.errors import UnknownName, UserError

FORMAT = 1


def list_presets() -> dict[str, AugmentationConfig]:
    """Every preset by name, the built-in ones first; damaged ones and other formats are left out."""
    saved = {}
    for path in sorted(_directory().glob("*.json")):
        try:
            content = storage.read_json(path)
            if isinstance(content, dict) and content.pop("format", FORMAT) != FORMAT:
                continue
            saved[path.stem] = AugmentationConfig.from_json(content)
        except UserError:
            continue
    return PRESETS | saved


def preset(name: str) -> AugmentationConfig:
    """The preset of that name; an unknown one raises `UnknownName` with the list."""
    if name in PRESETS:
        return PRESETS[name]
    presets = list_presets()
    if name not in presets:
        raise UnknownName("augmentation preset", name, list(presets))
    return presets[name]


def save_preset(name: str, config: AugmentationConfig) -> None:
    """Store `config` under `name`, replacing an older one of the user's.

    Raises:
        UserError: a name that cannot be used, or that of a built-in preset.
    """
    check_name(name)
    if name in PRESETS:
        raise UserError(f"{name!r} is a built-in preset. Choose another name.")
    storage.write_json(_directory() / f"{name}.json", {"format": FORMAT} | config.to_json())


def delete_preset(name: str) -> None:
    """Remove a preset the user saved."""
    path = _directory() / f"{name}.json"
    if name not in list_presets() or not path.exists():
        raise UnknownName("saved preset", name, [n for n in list_presets() if n not in PRESETS])
    path.unlink()


def _directory() -> Path:
    return storage.cache_directory() / "presets"
