"""Read a saved network for inference, and save one so that a kill never leaves half a file.

Inference, explanation and export compute in float32 whatever the training precision was: a layer's
precision is written in the file's `config.json`, so it is replaced there before Keras reads it.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from fer.errors import UserError
from fer.models import layers as _registered  # noqa: F401  (files may name these layers)
from fer.storage import replacing

MEGABYTE = 2**20
CONFIG_LIMIT = 16 * MEGABYTE  # config.json of EfficientNetB3, the longest here: 0.5 MB
ARCHIVE_LIMIT = 4096 * MEGABYTE
LOW_PRECISION = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


def load_model(path: Path | str) -> keras.Model:
    """The network in a `.keras` file: float32, not compiled, never running code from the file.

    Raises `UserError` if the file is missing, damaged, or unpacks to more than 4 GiB.
    """
    path = Path(path)
    config = _read_config(path)
    if not _to_float32(config):
        return _load(path, path)
    with tempfile.TemporaryDirectory(prefix="fer-load-") as directory:
        rewritten = Path(directory) / "float32.keras"
        _rewrite(path, rewritten, config)
        return _load(rewritten, path)


def save_model(model: keras.Model, path: Path | str) -> None:
    """Write `model` to `path` (ending in .keras), replacing an older file atomically."""
    with replacing(Path(path)) as temporary:
        model.save(temporary)


def _read_config(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"There is no model file {path}. Has the run finished its first epoch?")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            config = archive.getinfo("config.json")
            if config.file_size > CONFIG_LIMIT or size > ARCHIVE_LIMIT:
                raise UserError(
                    f"The model file {path} unpacks to {size / MEGABYTE:,.0f} MB (description "
                    f"{config.file_size / MEGABYTE:,.0f} MB); the limits are {ARCHIVE_LIMIT // MEGABYTE:,} "
                    f"and {CONFIG_LIMIT // MEGABYTE} MB. Use a file saved by this program."
                )
            return json.loads(archive.read(config))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise _damaged(path, error) from error


def _to_float32(config: Any) -> bool:
    """Replace every low-precision policy in a nested configuration; True if there was one."""
    changed = False
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ("dtype", "name") and value in LOW_PRECISION:  # "name" is that of a policy object
                config[key] = "float32"
                changed = True
            else:
                changed |= _to_float32(value)
    elif isinstance(config, list):
        for value in config:
            changed |= _to_float32(value)
    return changed


def _rewrite(source: Path, target: Path, config: Any) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if member.filename == "config.json":
                new.writestr("config.json", json.dumps(config))
                continue
            with old.open(member) as reader, new.open(member.filename, "w", force_zip64=True) as writer:
                while block := reader.read(MEGABYTE):
                    writer.write(block)


def _load(path: Path, shown: Path) -> keras.Model:
    policy = keras.config.dtype_policy()
    if policy.name != "float32":  # a trainer's; input layers and models take theirs from it, not the file
        keras.config.set_dtype_policy("float32")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise _damaged(shown, error) from error
    finally:
        if policy.name != "float32":
            keras.config.set_dtype_policy(policy)


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"The model file {path} cannot be read ({reason}); restore it or train again.")
