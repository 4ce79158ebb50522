"""Who may use the server: requests under our own names only, and from elsewhere only with a password.

Streamlit checks the Host only of WebSocket connections and takes any page on this computer for a friend;
`SameHost` refuses every request whose Host is not one of ours (DNS rebinding) or whose Origin is another
page's, with 403. `Password` guards a server that listens to the network.
"""

import base64
import hashlib
import hmac
import ipaddress
import secrets
import socket
import tomllib
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).resolve().parent.parent
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


class Password:
    """Ask for a password (HTTP Basic, any user name) and remember it in a cookie, which WebSockets send too.

    Args:
        password: what is asked for; compared in constant time, and a wrong one costs half a second.
    """

    COOKIE = "fer_visitor"

    def __init__(self, app: ASGIApp, password: str):
        self.app = app
        self.password = password.encode()
        self.token = hmac.new(secrets.token_bytes(32), self.password, hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "lifespan" or self._has_cookie(headers):
            await self.app(scope, receive, send)
        elif self._has_password(headers):
            await self.app(scope, receive, self._remembering(send))
        else:
            if b"authorization" in headers:
                await anyio.sleep(0.5)
            await refuse(scope, send, 401, "This dashboard asks for the password it printed when it started.")

    def _has_cookie(self, headers: dict[bytes, bytes]) -> bool:
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(self.COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.token.encode())

    def _has_password(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
        try:
            _, _, given = base64.b64decode(encoded, validate=True).partition(b":")
        except ValueError:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(given, self.password)

    def _remembering(self, send: Send) -> Send:
        cookie = f"{self.COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict".encode()

        async def with_cookie(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie)]}
            await send(message)

        return with_cookie


class UploadRoom:
    """Refuse an upload (413) that would not fit beside those that are held in memory for open tabs.

    Streamlit limits each file, not all of them together: forty visitors could fill the memory with files
    of the permitted size.

    Args:
        held: bytes of all uploads that are held now.
        room: bytes for all of them together.
        largest: bytes assumed of an upload that does not say its length.
    """

    def __init__(self, app: ASGIApp, held: Callable[[], int], room: int, largest: int):
        self.app, self.held, self.room, self.largest = app, held, room, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "PUT" and "/_stcore/upload_file/" in scope["path"]:
            length = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
            size = int(length) if length.isdigit() else self.largest
            if self.held() + size > self.room:
                await refuse(scope, send, 413, "Other uploads fill the memory. Try again in some minutes.")
                return
        await self.app(scope, receive, send)


async def refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """Answer a request with a status and a sentence; a WebSocket that is not accepted gets 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="FER-2013 dashboard", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})


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
