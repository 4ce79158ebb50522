"""A zip of the release's layout, or of `fer2013.csv`: checked as a whole before anything is read.

Nothing is extracted: members are read in memory with a cap. An archive that tries something (a path
out of it, a link, a bomb) is refused entirely, naming the entry; a merely damaged member is quarantined.
"""

import io
import stat
import struct
import zipfile
import zlib
from typing import IO

from fer.data.sources_csv import collect_csv
from fer.data.sources_images import MAX_FILE_BYTES, Collected, Progress, collect
from fer.data.sources_layout import is_litter
from fer.errors import UserError

MAX_ENTRIES = 100_000
MAX_TOTAL_BYTES = 4_000_000_000
MAX_RATIO = 200  # deflate reaches 1,032; images stay below 2, and a csv of pixels below 10
MAX_DIRECTORY_BYTES = 64_000_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def collect_zip(file: IO[bytes], progress: Progress) -> Collected:
    """Every image in the archive `file`, or the one csv in it.

    Raises:
        UserError: it is no zip, is damaged, is too large, or has an entry that is refused.
    """
    _check_directory_size(file)
    try:
        with zipfile.ZipFile(file) as archive:
            # A name that is empty, or begins with NUL, ends `is_dir` of Python 3.11 with an IndexError.
            members = [member for member in archive.infolist() if not member.filename.endswith("/")]
            if len(archive.infolist()) > MAX_ENTRIES:
                raise _too_many(len(archive.infolist()))
            for member in archive.infolist():
                _check(member)
            _check_total(members)
            tables = [m for m in members if m.filename.lower().endswith((".csv", ".csv.gz"))]
            tables = [m for m in tables if not is_litter(_path(m))]
            if tables and not any(_path(m).lower().endswith((".jpg", ".jpeg", ".png")) for m in members):
                return _collect_table(archive, tables, progress)
            return collect(
                [_path(member) for member in members],
                lambda position: _read(archive, members[position]),
                progress,
            )
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise UserError(f"The zip is damaged and cannot be opened ({error}). Fetch it again.") from error


def _check(member: zipfile.ZipInfo) -> None:
    """Refuse the archive for what this entry is."""
    path, shown = _path(member), repr(member.filename[:120])
    if not path:
        raise UserError("The zip is refused: an entry in it has no name. Pack the folder again.")
    parts = path.split("/")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":") or ".." in parts:
        raise UserError(f"The zip is refused: entry {shown} points outside of it. Pack the folder again.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"The zip is refused: entry {shown} is a link. Pack the files themselves.")
    if member.flag_bits & 0x1:
        raise UserError(f"The zip is refused: entry {shown} is encrypted. Pack it without a password.")
    if member.compress_type not in _METHODS:
        raise UserError(
            f"The zip is refused: entry {shown} uses compression method {member.compress_type}; "
            "pack it with the usual one (deflate)."
        )
    if member.file_size > 1_000_000 and member.file_size > MAX_RATIO * member.compress_size:
        raise UserError(
            f"The zip is refused: entry {shown} unpacks {member.compress_size:,} bytes to "
            f"{member.file_size:,}, more than {MAX_RATIO} times as much."
        )


def _check_total(members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        largest = max(members, key=lambda member: member.file_size)
        raise UserError(
            f"The zip is refused: it unpacks to {total:,} bytes; the limit is {MAX_TOTAL_BYTES:,}. "
            f"The largest entry is {largest.filename[:120]!r}."
        )


def _check_directory_size(file: IO[bytes]) -> None:
    """Refuse by the end record, before `zipfile` builds an object for each of millions of entries."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(max(0, size - 65_600))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise UserError("This is no zip, or its end is missing. Fetch it again.")
    entries, directory = struct.unpack_from("<HI", tail, end + 10)
    locator = tail.rfind(b"PK\x06\x06", 0, end)
    if locator >= 0 and len(tail) >= locator + 56:
        entries, directory = struct.unpack_from("<QQ", tail, locator + 32)
    if entries > MAX_ENTRIES:
        raise _too_many(entries)
    if directory != 0xFFFFFFFF and directory > MAX_DIRECTORY_BYTES:
        raise UserError(f"The zip is refused: its list of entries has {directory:,} bytes.")
    file.seek(0)


def _too_many(entries: int) -> UserError:
    return UserError(
        f"The zip is refused: it has {entries:,} entries; the limit is {MAX_ENTRIES:,}. Unpack it and import "
        "the folder, which may hold a million files."
    )


def _path(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_FILE_BYTES:
        raise UserError(f"file of {member.file_size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    try:
        return archive.read(member)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        struct.error,
    ) as error:
        raise UserError(f"damaged in the zip ({error})") from error


def _collect_table(archive: zipfile.ZipFile, tables: list[zipfile.ZipInfo], progress: Progress) -> Collected:
    """The csv whose name says FER-2013, else the only one."""
    known = ("fer2013.csv", "fer2013.csv.gz", "icml_face_data.csv")
    named = sorted((m for m in tables if _path(m).rsplit("/", 1)[-1].lower() in known), key=_path)
    if not named and len(tables) > 1:
        raise UserError(
            f"The zip holds {len(tables)} csv files ({_path(tables[0])[:60]}, …); import the one with pixels."
        )
    with archive.open((named or tables)[0]) as file:
        return collect_csv(file, (named or tables)[0].file_size, progress)
