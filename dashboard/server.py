"""The web server: Streamlit's own, behind a check of who asks. Runs in the virtual environment.

Streamlit checks the Host only of WebSocket connections and takes any page on this computer for a friend;
`SameHost` refuses every request whose Host is not one of ours (DNS rebinding) or whose Origin is another
page's, with 403. Settings that do not depend on the command line are in `.streamlit/config.toml`.
"""

import argparse
import ipaddress
import os
import socket
import sys
import threading
import tomllib
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT = 8501
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SameHost:
    """Refuse requests under a foreign name (403) and those another web page makes (403).

    Args:
        hosts: the names and addresses this server answers to, lower case, without port.
        origins: origins of other pages that may connect all the same, such as `https://lab.example`.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], origins: Sequence[str] = ()):
        self.app = app
        self.hosts = frozenset(hosts)
        self.origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self.allows(dict(scope["headers"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before accepting: answered with 403
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send(
                {"type": "http.response.body", "body": b"This dashboard does not answer to that name."}
            )

    def allows(self, headers: dict[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host_name(host) not in self.hosts:
            return False
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        return not origin or urlsplit(origin).netloc == host or origin in self.origins


def host_name(host: str) -> str | None:
    """The name in a Host header without its port; None when the header is not well formed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return (parts.hostname or "").rstrip(".") or None


def answered_names(address: str) -> list[str]:
    """The names and addresses a browser may reach this server by when it listens on `address`.

    Listening on loopback these are loopback's; otherwise this computer's names and addresses too. More of
    them (a reverse proxy's name) come from `server.allowedHosts` in `.streamlit/config.toml`.
    """
    names = [*LOOPBACK, *configured("allowedHosts")]
    if not is_loopback(address):
        names += [
            address,
            socket.gethostname(),
            socket.getfqdn(),
            f"{socket.gethostname()}.local",
            *own_addresses(),
        ]
    return list(dict.fromkeys(name.lower() for name in names if name not in ("0.0.0.0", "::")))


def configured(option: str) -> list[str]:
    """A list in `[server]` of `.streamlit/config.toml`, read before Streamlit's own start does."""
    with open(ROOT / ".streamlit" / "config.toml", "rb") as file:
        return tomllib.load(file).get("server", {}).get(option, [])


def own_addresses() -> list[str]:
    """The IP addresses of this computer's network interfaces, without loopback."""
    import psutil

    found = [
        entry.address.split("%")[0]
        for card in psutil.net_if_addrs().values()
        for entry in card
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return [address for address in found if not is_loopback(address)]


def is_loopback(address: str) -> bool:
    """Whether only this computer can connect to `address`."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; running trainings go on without the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args(arguments)
    reason = cannot_listen(options.host, options.port)
    if reason:
        print(reason, file=sys.stderr)
        return 1
    hosts = answered_names(options.host)
    overrides: dict[str, Any] = {"server.address": options.host, "server.allowedHosts": hosts}
    if options.port:
        overrides["server.port"] = options.port

    @asynccontextmanager
    async def announcing(_: st.App) -> AsyncIterator[None]:
        announce(options.host, options.port, open_browser=not options.no_browser)
        yield
        print(
            "\nThe dashboard has ended. Trainings that were running go on; start it again to see them.",
            flush=True,
        )

    checks = [Middleware(SameHost, hosts=hosts, origins=configured("corsAllowedOrigins"))]
    app = st.App(ROOT / "dashboard" / "app.py", middleware=checks, lifespan=announcing)
    sys.argv = [str(ROOT / "dashboard" / "app.py")]
    try:
        app.run(config=overrides)
    except KeyboardInterrupt:
        return 130
    return 0


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


def announce(address: str, asked_port: int | None, open_browser: bool) -> None:
    """Say where the dashboard is and who can reach it, and open a browser if there is one to open."""
    port = config.get_option("server.port")
    if asked_port is None and port != FIRST_PORT:
        print(f"Port {FIRST_PORT} is taken, so the dashboard uses {port}.")
    local = address if address not in ("0.0.0.0", "::", "127.0.0.1", "::1") else "localhost"
    url = f"http://{f'[{local}]' if ':' in local else local}:{port}"
    if not is_loopback(address):
        reachable = own_addresses() if address in ("0.0.0.0", "::") else [address]
        print(
            "EVERYONE WHO CAN REACH THIS COMPUTER CAN USE IT: see and delete data sets and runs, start "
            f"trainings, upload files. It answers at {', '.join(reachable) or address}, port {port}, "
            "without encryption."
        )
    print(f"The dashboard is at {url} (Ctrl-C ends it; trainings go on).", flush=True)
    shown = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if open_browser and shown:
        threading.Timer(0.3, webbrowser.open, [url]).start()


if __name__ == "__main__":
    sys.exit(main())
