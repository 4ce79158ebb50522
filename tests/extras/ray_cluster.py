"""A Ray cluster of two nodes on this machine, in a network namespace that holds nothing but loopback.

`ray start` listens on every address of the machine for some of its ports, whatever it is told, and its Jobs
server runs what it is sent; so it is never started outside such a namespace here. The nodes' GPUs are
logical: Ray counts one each, and there is none behind.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

TOKEN = "0f" * 32
NODES = ("127.0.0.1", "127.0.0.2")
ADDRESS = "http://127.0.0.1:8265"


def only_loopback() -> bool:
    return set(psutil.net_if_addrs()) == {"lo"}


class Cluster:
    """Two nodes with one CPU and one logical GPU each, token authentication on.

    Attributes:
        folder: short, because Ray keeps Unix sockets in it, whose paths may have 107 characters.
    """

    def __init__(self, **variables: str):
        assert only_loopback(), "never outside a namespace"
        self.folder = Path(tempfile.mkdtemp(prefix="fer-ray-"))
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "FER_"))},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "FER_PYTHON": sys.executable,
            "FER_NODE_CACHE": str(self.folder / "node"),
            **variables,
        }

    def start(self) -> None:
        common = ["--num-cpus=1", "--num-gpus=1", "--object-store-memory=80000000", "--disable-usage-stats"]
        head = ["--head", "--port=6399", f"--temp-dir={self.folder}", "--dashboard-host=127.0.0.1"]
        self._start([*head, f"--node-ip-address={NODES[0]}", "--dashboard-port=8265", *common])
        # The second node's agent listens on 127.0.0.1 too, where the first one's has the usual port.
        second = [f"--address={NODES[0]}:6399", f"--node-ip-address={NODES[1]}"]
        self._start([*second, "--dashboard-agent-listen-port=52366", *common[:-1]])

    def stop(self) -> None:
        self._ray("stop", "--force")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, options: list[str]) -> None:
        """Ray gives a node 30 s to come up, which a busy machine may exceed: try three times."""
        for _ in range(3):
            found = self._ray("start", *options)
            if found.returncode == 0:
                return
            time.sleep(2)
        raise AssertionError(found.stdout[-3000:] + found.stderr[-3000:])

    def _ray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ray.scripts.scripts", *arguments]
        # In its own folder: Ray's processes import whatever lies in the current one under a module's name.
        return subprocess.run(
            command, env=self.variables, cwd=self.folder if self.folder.is_dir() else "/",
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
