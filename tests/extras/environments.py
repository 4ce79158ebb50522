"""Environments for the optional extras, in `.venv-extras/`, and the tests that run in them.

Each lies over `.venv`: its own packages come first, everything else (TensorFlow alone is 1.9 GB) is seen
through a `.pth` file. pip does not touch what lies outside the environment it installs into, so `.venv`
never changes. Standard library only: `python tests` imports this before anything is installed.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dashboard import environment

ROOT = environment.ROOT
FOLDER = ROOT / ".venv-extras"
CLIENTS = ("requirements-jax.txt", "requirements-mlflow.txt", "requirements-cluster.txt")
SERVER = ("tests/extras/mlflow-server.txt",)
NO_NAMESPACE = "this user may make no network namespace, and a Ray cluster is started in nothing less here."
PARTS = {
    # XLA compiles faster at level 0, but there gradients of unet_se (the dilated one) are not numbers.
    "jax": {"KERAS_BACKEND": "jax"},
    "mlflow": {},
    "ray": {},
}


def run(main_python: Path, for_pytest: Sequence[str]) -> int:
    """Make the environments and run the tests of every part; 0 if all passed.

    Where they cannot be made (no network, no space), the tests are skipped with the reason, visibly; with
    `FER_EXTRAS_REQUIRED=1`, as in `.ci/run`, that is a failure.
    """
    started = time.monotonic()
    try:
        clients = prepare("clients", CLIENTS, main_python)
        server = prepare("mlflow-server", SERVER, main_python)
    except environment.SetupError as error:
        required = os.environ.get("FER_EXTRAS_REQUIRED") == "1"
        print(f"{'FAILED' if required else 'SKIPPED'}: no test of an extra was run. {error}", flush=True)
        return int(required)
    print(f"The environments were ready after {time.monotonic() - started:.0f} s.", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for part, variables in PARTS.items():
            own = {"FER_EXTRAS": part, "FER_MLFLOW_SERVER": str(server), **variables}
            command = [str(clients), "-m", "pytest", "tests/extras", "--durations=5", *for_pytest]
            if part == "ray":
                if subprocess.run(namespaced(["true"]), capture_output=True).returncode != 0:
                    required = os.environ.get("FER_EXTRAS_REQUIRED") == "1"
                    print(f"{'FAILED' if required else 'SKIPPED'}: {NO_NAMESPACE}", flush=True)
                    failed |= required
                    continue
                command = namespaced(command)
            running.append(_Part(part, command, {**os.environ, **own}, Path(folder) / part))
        try:
            for each in running:  # all at once: JAX compiles on one core while a cluster mostly waits
                failed |= each.wait() != 0
        finally:
            for each in running:
                each.process.terminate()
    print(f"The extras took {time.monotonic() - started:.0f} s.", flush=True)
    return int(failed)


class _Part:
    """One part's tests, running; what they print is kept and shown in one piece."""

    def __init__(self, name: str, command: Sequence[str], variables: dict[str, str], log: Path):
        self.name, self.log = name, log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT
            )

    def wait(self) -> int:
        status = self.process.wait()
        print(f"--- extra: {self.name}", flush=True)
        print(self.log.read_text(encoding="utf-8", errors="replace"), flush=True)
        return status


def namespaced(command: Sequence[str]) -> list[str]:
    """`command` in a network namespace that holds nothing but loopback (Linux).

    `ray start` listens on every address of the machine for some of its ports, whatever it is told.
    """
    users = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", *users, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def prepare(name: str, files: Sequence[str], main_python: Path, root: Path = ROOT) -> Path:
    """The Python of the environment `name`, made or brought up to date with requirement files in `root`.

    Raises:
        SetupError: no network, no space.
    """
    venv = FOLDER / name
    python = environment.interpreter_of(venv)
    try:
        FOLDER.mkdir(exist_ok=True)
        if not environment.works(venv):
            print(f"Creating the virtual environment {venv} …", flush=True)
            subprocess.run([str(main_python), "-m", "venv", "--clear", str(venv)], check=True)
        (_packages_of(python) / "main.pth").write_text(f"{_packages_of(main_python)}\n", encoding="utf-8")
        if not environment.is_ready(venv, files, root):
            environment.install(venv, files, root, print)
    except (OSError, subprocess.CalledProcessError) as error:
        raise environment.SetupError(f"{venv} could not be made: {error}") from error
    return python


def _packages_of(python: Path) -> Path:
    """Where an environment's packages lie, as its own Python says."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([str(python), "-I", "-c", script], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())
