"""Import in a process of its own, so that the server stays small and a closed tab loses nothing."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import streamlit as st

from fer import storage
from fer.errors import UserError


def import_in_background(
    source: str, name: str | None = None, progress: Callable[[float, str], object] | None = None
) -> dict[str, Any]:
    """Run `python -m fer import SOURCE --json` and return its JSON document.

    Progress comes as JSON lines on standard error (`--progress json`).

    Raises:
        UserError: whatever the command said.
    """
    command = [sys.executable, "-m", "fer", "import", "--json", "--progress", "json"]
    command += ["--name", name] if name else []
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--", source],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            cwd=storage.PROJECT,
            start_new_session=True,
        )
        said: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            try:
                report = json.loads(line)
                fraction, text = float(report["fraction"]), str(report["text"])
            except (ValueError, KeyError, TypeError):
                said.append(line.strip())
                continue
            if progress:
                progress(fraction, text)
        if process.wait() != 0:
            raise UserError(said[-1] if said else f"The import ended with status {process.returncode}.")
        output.seek(0)
        return json.loads(output.read())


def draw_demo_faces() -> None:
    """Draw the demo faces with a progress bar; what the app opens on when nothing was imported yet."""
    with st.status("First start: drawing the demo faces …") as box:
        bar = st.progress(0.0)
        import_in_background("demo", progress=lambda fraction, text: bar.progress(min(fraction, 1.0), text))
        box.update(label="The demo faces are ready.", state="complete")
