"""What a run on a node without a shared folder prints of itself, repeated here."""

import base64
import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs.launchers import ray_node

OURS = ("config.json", "labels.json", "cluster.json")
END = "cluster-end.json"
"""The node's last record; it becomes the run's when everything else has arrived."""


def changes(text: str) -> dict[str, str]:
    """`{file: content}` of the last state of each file in a piece of a job's output; the log's new lines."""
    merged: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith(ray_node.CHANGE):
            with contextlib.suppress(ValueError, zlib.error):
                found = json.loads(zlib.decompress(base64.b64decode(line.removeprefix(ray_node.CHANGE))))
                log = merged.get("train.log", "") + found.get("train.log", "")
                merged |= found | ({"train.log": log} if log else {})
    return merged


def repeat(text: str, directory: Path, first: bool) -> dict[str, Any]:
    """Write what a piece of output tells of the small files; returns the node's record, {} if not in it.

    Args:
        text: a piece of the job's output that ends with a line.
        first: it is the beginning of the output.
    """
    found = changes(text)
    record = found.pop("status.json", "")
    if log := found.pop("train.log", ""):
        with open(directory / "train.log", "wb" if first else "ab") as file:
            file.write(log.encode())
    for name, content in found.items():
        if name in ray_node.SMALL:
            storage.write_text(directory / name, content)
    with contextlib.suppress(ValueError):
        return dict(json.loads(record or "{}"))
    return {}


def unpack(text: str, directory: Path) -> None:
    """Put the files of a printed archive in place, each atomically; the node's record as `END`.

    Raises:
        UserError: there is no whole archive in `text`.
    """
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith(ray_node.ARCHIVE)), None)
    if start is None:
        raise UserError("The job that fetches files printed none.")
    try:
        size, digest = lines[start].removeprefix(ray_node.ARCHIVE).split()
        content = base64.b64decode("".join(lines[start + 1 :]))[: int(size)]
    except ValueError:
        content = b""
    if not content or hashlib.sha256(content).hexdigest() != digest:
        raise UserError("What came from the node is damaged.")
    with tempfile.TemporaryDirectory(prefix=storage.STAGING_PREFIX, dir=directory.parent) as staging:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(staging, filter="data")
        for path in sorted(Path(staging).rglob("*")):
            name = str(path.relative_to(staging))
            if path.is_file() and name not in OURS:
                target = directory / (END if name == "status.json" else name)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
