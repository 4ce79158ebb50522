"""Schemathesis, as anybody would start it, against the running server: every request its schema allows
is answered as the schema says, and what it does not allow is refused."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="needs schemathesis (requirements-test.txt)")
pytest.importorskip("fastapi", reason="needs the optional package FastAPI")


def test_schemathesis_finds_nothing(client, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{client.base}/openapi.json", "--checks", "all", "--seed", "1"]
    command += ["--max-examples", "40", "--generation-database", "none", "--no-color"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    generated, passed = re.search(r"(\d+) generated, (\d+) passed", result.stdout).groups()
    assert generated == passed
    assert int(passed) >= 80
    assert "3 selected / 3 total" in result.stdout
