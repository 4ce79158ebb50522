"""The running server: who can reach it, under which names, and how it starts and ends."""

import base64
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dashboard import server, sharing
from dashboard.sharing import SameHost

ROOT = Path(server.__file__).resolve().parent.parent


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A server as (process, port, what it said when it was ready)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.server", "--no-browser", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            found = re.search(r"The dashboard is at http://\S+?:(\d+) ", line)
            if found:
                yield process, int(found[1]), said
                break
        else:
            pytest.fail(f"The server ended with {process.wait()} and said: {said}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running("--port", str(free_port())) as (_, port, _said):
        yield port


def answer(port: int, request: str, address: str = "127.0.0.1") -> tuple[int, str]:
    """Status and headers a raw request is answered with."""
    with socket.create_connection((address, port), timeout=30) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        file = connection.makefile("rb")
        status_line = file.readline()
        headers = b"".join(iter(file.readline, b"\r\n")).decode("latin-1")
    return int(status_line.split()[1]), headers


def status(port: int, request: str) -> int:
    return answer(port, request)[0]


def get(host: str, origin: str = "") -> str:
    return f"GET / HTTP/1.1\nHost: {host}{origin and chr(10) + 'Origin: ' + origin}\nConnection: close"


def websocket(host: str, origin: str = "") -> str:
    return (
        f"GET /_stcore/stream HTTP/1.1\nHost: {host}{origin and chr(10) + 'Origin: ' + origin}\n"
        "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: streamlit"
    )


HOSTS = [
    ("localhost:{port}", "", True),
    ("127.0.0.1:{port}", "", True),
    ("LOCALHOST:{port}", "http://localhost:{port}", True),
    ("127.0.0.1:{port}", "http://127.0.0.1:{port}", True),
    ("[::1]:{port}", "", True),
    ("evil.example:{port}", "", False),
    ("evil.example:{port}", "http://evil.example:{port}", False),  # DNS rebinding: a matching pair
    ("localhost.evil.example:{port}", "", False),
    ("localhost:{port}", "http://evil.example", False),
    ("localhost:{port}", "http://localhost:3000", False),  # another program's page on this computer
    ("localhost:{port}", "null", False),
    ("localhost:{port}@evil.example", "", False),
    ("localhost:port", "", False),
    ("", "", False),
]


@pytest.mark.parametrize(("host", "origin", "accepted"), HOSTS)
def test_host_and_origin_table(port: int, host: str, origin: str, accepted: bool):
    host, origin = host.format(port=port), origin.format(port=port)
    assert status(port, get(host, origin)) == (200 if accepted else 403)
    assert status(port, websocket(host, origin)) == (101 if accepted else 403)


def test_only_this_computer_can_connect(port: int):
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]
    for address in sharing.own_addresses():
        if ":" not in address:
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, port), timeout=5).close()


def test_an_upload_without_the_token_is_refused(port: int):
    request = (
        "PUT /_stcore/upload_file/a/b HTTP/1.1\nHost: localhost\nConnection: close\n"
        "Content-Type: multipart/form-data; boundary=x\nContent-Length: 0"
    )
    assert status(port, request) == 403


def test_settings_of_the_project_hold():
    """Read as the server reads them: telemetry off, no paths or source in error boxes."""
    expected = {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "type",
        "server.address": "127.0.0.1",
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.maxUploadSize": 400,
        "server.allowedHosts": ["localhost", "127.0.0.1", "::1"],
    }
    script = f"from streamlit import config\nfor key in {list(expected)}: print(repr(config.get_option(key)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [repr(value) for value in expected.values()]


def test_a_taken_port_that_was_asked_for_is_one_sentence(port: int):
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.server", "--no-browser", "--port", str(port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"Port {port} on 127.0.0.1 cannot be used (Address already in use): choose another one with --port."
    ]


def test_a_taken_default_port_is_replaced_and_said():
    with socket.socket() as holder:
        try:
            holder.bind(("127.0.0.1", server.FIRST_PORT))
            holder.listen()
        except OSError:
            pass  # someone else holds it, which does as well
        with running() as (_, port, said):
            assert port > server.FIRST_PORT
            assert f"Port {server.FIRST_PORT} is taken, so the dashboard uses {port}." in said
            assert status(port, get(f"localhost:{port}")) == 200


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_at_a_signal_with_a_browser_connected(number: signal.Signals):
    with running("--port", str(free_port())) as (process, port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(websocket(f"localhost:{port}").replace("\n", "\r\n").encode() + b"\r\n\r\n")
            assert b"101" in connection.recv(100)
            began = time.monotonic()
            process.send_signal(number)
            assert process.stdout is not None
            rest = process.stdout.read()
            process.wait(timeout=30)
        assert time.monotonic() - began < 10
        assert "The dashboard has ended" in rest
        assert "Traceback" not in rest


def test_an_address_that_is_not_ours_is_one_sentence():
    assert "no address 'no.such.host.invalid'" in (server.cannot_listen("no.such.host.invalid", None) or "")
    assert "Cannot listen on '192.0.2.1'" in (server.cannot_listen("192.0.2.1", None) or "")
    assert server.cannot_listen("127.0.0.1", None) is None


def test_listening_to_the_network_is_said_and_answers_to_own_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for module in (server, sharing):
        monkeypatch.setattr(module, "own_addresses", lambda: ["192.0.2.7"])
    monkeypatch.setattr(socket, "gethostname", lambda: "Classroom")
    names = sharing.answered_names("0.0.0.0")
    assert {"localhost", "127.0.0.1", "192.0.2.7", "classroom", "classroom.local"} <= set(names)
    assert not {"*", "0.0.0.0", "::"} & set(names)
    assert sharing.answered_names("127.0.0.1") == ["localhost", "127.0.0.1", "::1"]
    monkeypatch.delenv("FER_PASSWORD", raising=False)
    server.announce("0.0.0.0", 8501, "correct horse", open_browser=False)
    said = capsys.readouterr().out
    assert "SHARED ON THE NETWORK" in said
    assert "192.0.2.7" in said
    assert "correct horse" in said
    monkeypatch.setenv("FER_PASSWORD", "correct horse")
    server.announce("0.0.0.0", 8501, "correct horse", open_browser=False)
    assert "correct horse" not in capsys.readouterr().out
    server.announce("127.0.0.1", 8501, None, open_browser=False)
    assert "SHARED" not in capsys.readouterr().out


@pytest.mark.skipif(not [a for a in sharing.own_addresses() if ":" not in a], reason="no network interface")
def test_sharing_on_the_network_asks_for_a_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FER_PASSWORD", "correct horse: ü")
    address = next(a for a in sharing.own_addresses() if ":" not in a)
    with running("--host", address, "--port", str(free_port())) as (_, port, said):
        assert "SHARED ON THE NETWORK" in said
        own, origin = f"{address}:{port}", f"http://{address}:{port}"

        def asked(request: str, password: str | None, cookie: str = "") -> tuple[int, str]:
            if password is not None:
                encoded = base64.b64encode(f"student:{password}".encode()).decode()
                request = f"{request}\nAuthorization: Basic {encoded}"
            return answer(port, f"{request}\nCookie: {cookie}" if cookie else request, address)

        assert asked(get(own), None)[0] == 401
        assert asked(websocket(own, origin), None)[0] == 403
        assert asked(get(own), "wrong")[0] == 401
        assert asked(get(own), "")[0] == 401
        status_code, headers = asked(get(own), "correct horse: ü")
        assert status_code == 200
        cookie = re.search(r"set-cookie: (fer_visitor=\w+); Path=/; HttpOnly; SameSite=Strict", headers)
        assert cookie
        assert asked(websocket(own, origin), None, cookie[1])[0] == 101
        assert asked(websocket(own, origin), None, "fer_visitor=0")[0] == 403
        assert asked(get("evil.example"), "correct horse: ü")[0] == 403


def test_origins_of_other_pages_can_be_allowed():
    check = SameHost(app=lambda *_: None, hosts=["localhost"], origins=["https://lab.example/"])  # type: ignore[arg-type, return-value]
    assert check.allows({b"host": b"localhost", b"origin": b"https://lab.example"})
    assert not check.allows({b"host": b"localhost", b"origin": b"https://lab.example.evil"})


def test_first_byte_is_the_app(port: int):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        assert b"<title>Streamlit</title>" in answer.read()
