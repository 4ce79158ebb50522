"""What may be in a `.keras` file from elsewhere: checked as data, before Keras sees any of it.

The zip's members, the description (`config.json`) and the HDF5 file of the weights are compared with what
Keras writes for networks of known layers; everything else is refused. What passes is written anew, so
Keras reads our file, not the foreign one. Runs in the child process of `fer.models.foreign`; no Keras here.
"""

import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError
from fer.models.foreign_layers import ACTIVATIONS, CLASSES, MARKS, OURS

MEGABYTE = 2**20
MEMBERS: dict[str, int] = {  # name: most bytes it may unpack to
    "metadata.json": MEGABYTE // 16,
    "config.json": 16 * MEGABYTE,  # EfficientNetB3, the longest here: 0.4 MB
    "model.weights.h5": 512 * MEGABYTE,
}
MAX_RATIO = 100  # weights hardly compress; JSON reaches 30
MAX_DEPTH = 40  # the networks here have 11 levels
MAX_OBJECTS = 200_000
MAX_NUMBER = 65_536  # units, filters, sizes: the largest here is 4,096
MAX_WEIGHT_ARRAYS = 50_000
WIDTHS = ("units", "filters", "key_dim", "value_dim", "num_heads", "output_shape")
ANY_NUMBER = ("seed", "shared_object_id")
_SUSPICIOUS = re.compile(r"vocab|path|file|url|saved_model|lambda|code|custom", re.IGNORECASE)


def check_archive(source: Path, target: Path) -> None:
    """Write a clean copy of the `.keras` file `source` to `target`, or refuse it.

    Raises:
        UserError: it is no `.keras` file, damaged, too large, or has something in it that is refused.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = _members(archive)
            config = _description(_read(archive, members["config.json"]))
            check_ends(config)
            weights = target.parent / "model.weights.h5"
            with open(weights, "wb") as file:
                _copy(archive, members["model.weights.h5"], file)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise damaged(error) from error
    check_sizes(config, check_weights(weights))
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.write(weights, "model.weights.h5")
    weights.unlink()


def check_config(config: Any) -> Any:
    """The description without what compiling it would need, if it names nothing but known classes.

    Raises:
        UserError: another class or module, code, a file or address, too deep or too large.
    """
    if not isinstance(config, dict) or config.get("class_name") not in ("Functional", "Sequential"):
        raise refused("it describes no functional or sequential network")
    for objects, (key, value, depth) in enumerate(_walk(config)):
        if depth > MAX_DEPTH:
            raise refused(f"its description is nested deeper than {MAX_DEPTH} levels")
        if objects > MAX_OBJECTS:
            raise refused(f"its description has more than {MAX_OBJECTS:,} values")
        if isinstance(value, dict):
            value.pop("compile_config", None)  # losses and optimisers are not needed, so not read
            _check_object(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if key not in ANY_NUMBER and not abs(value) <= (1e9 if isinstance(value, float) else MAX_NUMBER):
                raise refused(f"its description asks for a size of {value:g}; the limit is {MAX_NUMBER:,}")
        elif isinstance(value, str) and (len(value) > 1000 or "://" in value):
            raise refused(f"its description holds an address or a long text ({value[:60]!r})")
    return config


def check_ends(config: dict[str, Any]) -> None:
    """Refuse at once, where the description tells, what takes other images or knows other classes.

    Keras' own shapes are checked after loading; this spares the wait for the most frequent mistakes.
    """
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    layers = [
        layer for layer in layers or () if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
    ]
    if not isinstance(inner, dict) or not layers:
        raise refused("it describes no layers")
    names = re.findall(r"'([^']*)'", f"{inner.get('output_layers', '')}")
    last = [layer for layer in layers if layer["config"].get("name") in names] or layers[-1:]
    inputs = [layer["config"] for layer in layers if layer.get("class_name") == "InputLayer"]
    for shape in [settings.get("batch_shape") for settings in inputs]:
        if isinstance(shape, list) and shape[1:] != [IMAGE_SIZE, IMAGE_SIZE, 1]:
            raise refused(
                f"it takes images of shape {tuple(shape[1:])}; faces here are ({IMAGE_SIZE}, {IMAGE_SIZE}, "
                "1), so put a resizing layer in front of it"
            )
    for layer in last if len(last) == 1 else ():
        units = layer["config"].get("units")
        if layer.get("class_name") == "Dense" and units != len(EMOTIONS):
            raise refused(f"it answers with {units} numbers; expected {len(EMOTIONS)} expressions")


def check_sizes(config: dict[str, Any], sides: set[int]) -> None:
    """Refuse a layer wider than any of the stored weights: a giant that is only described."""
    for key, value, _ in _walk(config):
        if key in WIDTHS and isinstance(value, int) and value > 1 and value not in sides:
            raise refused(
                f"it describes a layer with {value:,} {key.replace('_', ' ')} but holds no weights for it"
            )


def check_weights(path: Path) -> set[int]:
    """The lengths of the sides of all arrays in an HDF5 file of weights.

    Refuses an HDF5 file that is damaged, refers to other files, or unpacks to more than the limit.

    HDF5 can point into other files of this computer (external links, external and virtual data sets);
    Keras writes none of these.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _check_group(file)
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise damaged(error) from error


def refused(reason: str) -> UserError:
    return UserError(f"The model file is refused: {reason}. Take a .keras file saved by Keras 3.")


def damaged(error: BaseException) -> UserError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return UserError(f"The model file is damaged or incomplete ({reason}). Save or fetch it again.")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """`{name: entry}` of exactly the three members of a `.keras` file."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name, shown = member.filename, repr(member.filename[:80])
        if name in found:
            raise refused(f"the entry {shown} is in it twice")
        if name not in MEMBERS:
            raise refused(f"it holds {shown}, which does not belong into a .keras file")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise refused(f"the entry {shown} is a link")
        if member.flag_bits & 0x1:
            raise refused(f"the entry {shown} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refused(f"the entry {shown} is packed in an unusual way")
        if member.file_size > MEMBERS[name]:
            raise refused(
                f"the entry {shown} unpacks to {member.file_size:,} bytes; the limit is {MEMBERS[name]:,}"
            )
        if member.file_size > MEGABYTE and member.file_size > MAX_RATIO * member.compress_size:
            raise refused(f"the entry {shown} unpacks to more than {MAX_RATIO} times its size")
        found[name] = member
    if len(found) < len(MEMBERS):
        missing = next(name for name in MEMBERS if name not in found)
        raise refused(f"it lacks {missing!r}")
    return found


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(MEMBERS[member.filename])


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: IO[bytes]) -> None:
    with archive.open(member) as file:
        while block := file.read(MEGABYTE):
            target.write(block)


def _description(content: bytes) -> Any:
    try:
        return check_config(json.loads(content))
    except RecursionError:
        raise refused(f"its description is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # not JSON, not UTF-8, or a number of too many digits
        raise damaged(error) from error


def _walk(config: Any) -> Iterator[tuple[str, Any, int]]:
    """(key, value, depth) of every value below `config`; a dictionary's are taken after it was yielded."""
    waiting: list[tuple[str, Any, int]] = [("", config, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        yield key, value, depth
        if isinstance(value, dict):
            waiting += [(name, item, depth + 1) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(key, item, depth + 1) for item in value]


def _check_object(value: dict[str, Any]) -> None:
    """Refuse an object of a class that is not listed, and keys that name files or code."""
    for key in value:
        if _SUSPICIOUS.search(key):
            raise refused(f"its description sets {key[:60]!r}, which could read a file or run code")
    if not {"class_name", "module", "registered_name"} & value.keys():
        return
    name, module = value.get("class_name"), value.get("module")
    registered = value.get("registered_name")
    if not all(isinstance(text, str | None) for text in (name, module, registered)):
        raise refused("its description names a class by something that is no text")
    if name in MARKS and module is None:
        return
    if name == "function" and module == "builtins" and value.get("config") in ACTIVATIONS:
        return
    if registered in OURS and module == "fer.models.layers" and registered == f"fer>{name}":
        return
    if (str(module), str(name)) in CLASSES and registered in (None, name):
        return
    shown = f"{module}.{name}" if module else str(name)
    raise refused(f"it needs {shown[:80]!r}, which is no layer that can be loaded safely")


def _check_group(group: Any) -> set[int]:
    """Check every link and array below a group; the lengths of the arrays' sides."""
    import h5py

    waiting, arrays, total = [(group, 0)], 0, 0
    sides: set[int] = set()
    while waiting:
        here, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise refused(f"its weights are nested deeper than {MAX_DEPTH} levels")
        for name in here:
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                raise refused(f"its weights hold a link ({name[:60]!r}) to another place or file")
            item = here[name]
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
                continue
            arrays += 1
            total += _check_array(item, name)
            if arrays > MAX_WEIGHT_ARRAYS or total > MEMBERS["model.weights.h5"]:
                raise refused(f"its weights unpack to {total:,} bytes in {arrays:,} arrays")
            sides.update(item.shape)
    return sides


def _check_array(item: Any, name: str) -> int:
    """Bytes of one array of plain numbers or short text (`vars` of a layer), stored in this very file."""
    if not hasattr(item, "shape") or item.shape is None:
        raise refused(f"its weights hold something that is no array ({name[:60]!r})")
    if item.external or item.is_virtual:
        raise refused(f"its weights refer to another file ({name[:60]!r})")
    if item.dtype.kind not in "fiub":
        raise refused(f"its weights hold values of type {item.dtype} ({name[:60]!r})")
    return int(item.size) * item.dtype.itemsize
