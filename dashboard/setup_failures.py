"""What pip, venv and the file system say when a set-up fails, as the one sentence a person needs."""

import errno
import platform
import re
import shutil
from pathlib import Path

_OFFLINE = (
    "NewConnectionError|Failed to establish a new connection|name resolution|getaddrinfo failed|"
    "ConnectTimeoutError|Connection refused|Network is unreachable|ReadTimeoutError|ProxyError|"
    "ConnectionResetError|Max retries exceeded"
)
_FULL = r"No space left on device|Errno 28\b|Disk quota exceeded|not enough space on the disk|WinError 112"


def sentence(output: str, venv: Path) -> str | None:
    """pip's or venv's failure as one sentence, if it is one of those that people meet."""
    if re.search(_FULL, output):
        free = shutil.disk_usage(venv.parent).free / 1e9
        return (
            f"The disk is full: {free:.1f} GB are free at {venv.parent}; make room and run the command again."
        )
    if re.search("SSLError|CERTIFICATE_VERIFY_FAILED", output):
        return (
            "The packages could not be downloaded because the package index shows a certificate that this "
            "computer does not trust: set PIP_CERT to your organisation's certificate and run the command "
            "again."
        )
    if re.search(_OFFLINE, output):
        return (
            "The packages could not be downloaded because the network or the package index cannot be "
            "reached: connect to the internet (or set HTTPS_PROXY) and run the command again."
        )
    if re.search("Permission denied|Access is denied", output):
        return f"No permission to write in {venv}: clone the project where you may write."
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return (
            f"The package index offers no {missing[1]} for Python {platform.python_version()} on "
            f"{platform.system()} {platform.machine()}: use another Python of 3.11 to 3.13, or another "
            "machine."
        )
    return None


def os_sentence(error: OSError, root: Path) -> str:
    """A failed file operation of the set-up as one sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: make room at {root} and run the command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to write {error.filename or root}: clone the project where you may write."
    return f"The set-up failed: {error}."


def last_line(output: str) -> str:
    """The last line that says something, as pip puts its reason there."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1].removeprefix("ERROR: ")
