"""The web server: Streamlit's own, behind the checks of `dashboard.sharing`. Runs in the virtual environment.

Settings that do not depend on the command line are in `.streamlit/config.toml`.
"""

import argparse
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config, runtime

from dashboard import camera_route
from dashboard.memory import keep_tidy
from dashboard.reconnecting import follow_reconnections
from dashboard.sharing import (
    Password,
    SameHost,
    UploadRoom,
    answered_names,
    configured,
    is_loopback,
    own_addresses,
)

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT = 8501
UPLOAD_ROOM = 1_500_000_000  # bytes of uploads held at once: 25 visitors with a zip of FER-2013 each


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; running trainings go on without the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args(arguments)
    keep_tidy()
    follow_reconnections()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings belong in no one's terminal
    reason = cannot_listen(options.host, options.port)
    if reason:
        print(reason, file=sys.stderr)
        return 1
    hosts = answered_names(options.host)
    overrides: dict[str, Any] = {"server.address": options.host, "server.allowedHosts": hosts}
    if options.port:
        overrides["server.port"] = options.port

    checks = [Middleware(SameHost, hosts=hosts, origins=configured("corsAllowedOrigins"))]
    password = None
    if not is_loopback(options.host):
        password = os.environ.get("FER_PASSWORD") or secrets.token_urlsafe(9)
        checks.append(Middleware(Password, password=password))
    largest = 2**20 * int(config.get_option("server.maxUploadSize"))
    checks.append(Middleware(UploadRoom, held=_held_uploads, room=max(UPLOAD_ROOM, largest), largest=largest))

    @asynccontextmanager
    async def announcing(_: st.App) -> AsyncIterator[None]:
        announce(options.host, options.port, password, open_browser=not options.no_browser)
        yield
        print(
            "\nThe dashboard has ended. Trainings that were running go on; start it again to see them.",
            flush=True,
        )

    entry = ROOT / "dashboard" / "app.py"
    app = st.App(entry, routes=[camera_route.ROUTE], middleware=checks, lifespan=announcing)
    sys.argv = [str(ROOT / "dashboard" / "app.py")]
    try:
        app.run(config=overrides)
    except KeyboardInterrupt:
        return 130
    return 0


def _held_uploads() -> int:
    """Bytes of the uploads of all open tabs."""
    if not runtime.exists():
        return 0
    families = runtime.get_instance().uploaded_file_mgr.get_stats().values()
    return sum(getattr(stat, "byte_length", 0) for stats in families for stat in stats)


def cannot_listen(address: str, port: int | None) -> str | None:
    """Why the server cannot listen there, as one sentence; None if it can."""
    try:
        family, *_, target = socket.getaddrinfo(address, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except socket.gaierror:
        return f"There is no address {address!r}: use 127.0.0.1, 0.0.0.0 or an address of this computer."
    except PermissionError:
        return f"Port {port} needs administrator rights: choose one from 1024 to 65535 with --port."
    except OSError as error:
        if port is None:
            return f"Cannot listen on {address!r} ({error.strerror}): use an address of this computer."
        return f"Port {port} on {address} cannot be used ({error.strerror}): choose another one with --port."
    return None


def announce(address: str, asked_port: int | None, password: str | None, open_browser: bool) -> None:
    """Say where the dashboard is and who can reach it, and open a browser if there is one to open."""
    port = config.get_option("server.port")
    if asked_port is None and port != FIRST_PORT:
        print(f"Port {FIRST_PORT} is taken, so the dashboard uses {port}.")
    if password:
        reachable = own_addresses() if address in ("0.0.0.0", "::") else [address]
        print(
            f"SHARED ON THE NETWORK: it answers at {', '.join(reachable) or address}, port {port}, "
            "unencrypted. Whoever reaches this computer and knows the password can see and delete data sets "
            "and runs, start trainings and upload files.\n"
            + (
                "The password is the one in FER_PASSWORD."
                if os.environ.get("FER_PASSWORD")
                else f"The password is {password} (any user name; set FER_PASSWORD to choose it)."
            )
        )
    local = address if address not in ("0.0.0.0", "::", "127.0.0.1", "::1") else "localhost"
    url = f"http://{f'[{local}]' if ':' in local else local}:{port}"
    print(f"The dashboard is at {url} (Ctrl-C ends it; trainings go on).", flush=True)
    shown = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if open_browser and shown:
        threading.Timer(0.3, webbrowser.open, [url]).start()


if __name__ == "__main__":
    sys.exit(main())
