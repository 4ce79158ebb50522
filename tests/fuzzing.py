"""Coverage-guided fuzzing of the doors that take files from strangers, bounded in time.

    python -m tests.fuzzing photo --seconds 60       photo, image, zip, csv or model

Uses atheris where it is installed (it is not required: `pip install atheris`, Linux and macOS, and runs
what it finds through the same doors), and says so where it is not. A door may return or raise `UserError`;
anything else, and more than `LIMIT_MB` of memory, is a finding, kept in `crash-…`. What was found so far
are the tests named `…_found_by_fuzzing`; the suite's own fuzzers are hypothesis'.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fer.errors import UserError

LIMIT_MB = 2000
SEEDS = 200_000  # bytes; longer seeds make the fuzzer slow


def photo(data: bytes) -> None:
    from fer.prediction.photo import decode_photo

    decode_photo(data)


def image(data: bytes) -> None:
    from fer.data.sources_images import decode

    decode(data)


def archive(data: bytes) -> None:
    from fer.data.sources_zip import collect_zip

    collect_zip(io.BytesIO(data), lambda fraction, text: None)


def table(data: bytes) -> None:
    from fer.data.sources_csv import collect_csv

    collect_csv(io.BytesIO(data), len(data), lambda fraction, text: None)


def model(data: bytes) -> None:
    from fer.models.foreign_archive import check_archive

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "a.keras"
        source.write_bytes(data)
        check_archive(source, Path(folder) / "b.keras")


DOORS: dict[str, Callable[[bytes], None]] = {
    "photo": photo,
    "image": image,
    "zip": archive,
    "csv": table,
    "model": model,
}


def seeds(door: str) -> list[bytes]:
    """Files to start from."""
    if door in ("photo", "image"):
        from tests.prediction.corpus import bad_photos, good_photos

        return [content for content, *_ in good_photos().values()] + list(bad_photos().values())
    if door == "model":
        from tests.models import foreignkit

        return [foreignkit.zipped(foreignkit.saved(foreignkit.good_network()))]
    from tests.data.sourcekit import csv_row, release_files, zipped

    if door == "zip":
        return [
            zipped(dict(list(release_files(1).items())[:4])),
            zipped({"fer2013.csv": b"emotion,pixels\n"}),
        ]
    return ["\n".join(["emotion,pixels,Usage", csv_row(1), csv_row(2)]).encode()]


def one(door: str, data: bytes) -> None:
    """Put one file through a door; `UserError` is the answer that is expected."""
    said = ""
    try:
        DOORS[door](data)
    except UserError as error:
        said = str(error)
    assert "\n" not in said, "more than one sentence"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("door", choices=sorted(DOORS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(), help="where findings are put")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("atheris is not installed (pip install atheris); hypothesis fuzzes in the tests all the same.")
        return 1
    with atheris.instrument_imports(include=["fer", "zipfile", "csv", "PIL"]):
        one(options.door, b"PK\x03\x04" if options.door in ("zip", "model") else b"")
    corpus = Path(tempfile.mkdtemp(prefix="fer-fuzz-"))
    for number, content in enumerate(seeds(options.door)):
        if len(content) <= SEEDS:
            (corpus / str(number)).write_bytes(content)
        one(options.door, content)
    limits = [f"-max_total_time={options.seconds}", f"-rss_limit_mb={LIMIT_MB}", "-timeout=20"]
    limits += [f"-artifact_prefix={options.out}/", f"-max_len={SEEDS}"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda data: one(options.door, data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
