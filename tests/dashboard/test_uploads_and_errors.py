"""The running server: what uploads it takes, and that what goes wrong shows no path of this computer."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dashboard.sharing import UploadRoom
from tests.dashboard.streamclient import Tab, tab, token
from tests.dashboard.test_server import ROOT, answer, free_port

MEGABYTE = 2**20
SECRET = "/home/teacher/secret"
# The real server, in which one function of every page fails in a way nobody foresaw.
BROKEN = f"""
from dashboard import panels
def heading(name):
    raise RuntimeError("cannot open {SECRET}/grades.csv")
panels.heading = heading
"""
# The real server with another limit: what the project's file says cannot be set from outside.
SMALL = """
import streamlit
run = streamlit.App.run
streamlit.App.run = lambda self, config: run(self, config=config | {"server.maxUploadSize": 1})
"""


@contextmanager
def changed(script: str) -> Iterator[int]:
    """The port of a server in whose process `script` ran first."""
    start = f"import sys\n{script}\nfrom dashboard import server\nsys.exit(server.main(sys.argv[1:]))"
    command = [sys.executable, "-c", start, "--no-browser", "--port", str(free_port())]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"The dashboard is at http://\S+?:(\d+) ", line):
                yield int(found[1])
                break
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def broken(demo_dataset) -> Iterator[int]:
    with changed(BROKEN) as port:
        yield port


@pytest.fixture
def small(demo_dataset) -> Iterator[int]:
    """A server that takes uploads of 1 MB; its port."""
    with changed(SMALL) as port:
        yield port


def put(port: int, address: str, body: bytes, headers: dict[str, str], chunked: bool = False) -> int:
    """Status of an upload as browsers send it."""
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="photo.png"\r\n\r\n'
    content = start + body + b"\r\n--x--\r\n"
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    lines = [f"PUT {address} HTTP/1.1", f"Host: localhost:{port}", length, "Connection: close"]
    lines += ["Content-Type: multipart/form-data; boundary=x", *(f"{k}: {v}" for k, v in headers.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            for first in range(0, len(content), 65_536):
                piece = content[first : first + 65_536]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            connection.sendall(b"0\r\n\r\n" if chunked else b"")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all sent
        return int(connection.makefile("rb").readline().split()[1])


def test_uploads_need_the_token_and_end_at_the_limit(small: int):
    good = token(small)
    both = {"Cookie": f"_streamlit_xsrf={good}", "X-Xsrftoken": good}
    with tab(small) as session:
        session.open("data")
        address = session.upload_address()
        assert put(small, address, b"x" * 1000, both) == 204
        assert put(small, address, b"x" * 1000, {}) == 403
        assert put(small, address, b"x" * 1000, {"X-Xsrftoken": good}) == 403
        assert put(small, address, b"x" * 1000, {"Cookie": both["Cookie"]}) == 403
        assert put(small, address, b"x" * 1000, both | {"X-Xsrftoken": token(small)[:-4] + "beef"}) == 403
        assert put(small, address, b"x" * 2 * MEGABYTE, both) == 413
        assert put(small, address, b"x" * 3 * MEGABYTE, both, chunked=True) == 413
        assert put(small, "/_stcore/upload_file/no-such-session/1", b"x", both) == 400


@pytest.mark.anyio
async def test_uploads_that_do_not_fit_beside_the_others_are_refused():
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["path"])

    async def send(message):
        sent.append(message.get("status"))

    room = UploadRoom(app, held=lambda: 700, room=1000, largest=400)
    path = "/_stcore/upload_file/session/file"
    for method, where, headers in (
        ("PUT", path, [(b"content-length", b"300")]),
        ("PUT", path, [(b"content-length", b"301")]),
        ("PUT", path, []),
        ("PUT", path, [(b"content-length", b"-1")]),
        ("GET", path, []),
        ("PUT", "/elsewhere", []),
    ):
        await room({"type": "http", "method": method, "path": where, "headers": headers}, None, send)
    assert passed == [path, path, "/elsewhere"]
    assert [status for status in sent if status] == [413, 413, 413]


def test_what_nobody_foresaw_shows_no_path(broken: int):
    """Neither the page nor any answer over HTTP tells where files are; the terminal has the traceback."""
    with tab(broken) as session:
        seen = session.open("explore")
    boxes = [m.delta.new_element.exception for m in seen if m.delta.new_element.HasField("exception")]
    assert [box.type for box in boxes] == ["RuntimeError"]
    told = "".join(str(box) for box in boxes)
    for hidden in (SECRET, "grades", str(ROOT), "site-packages", "heading"):
        assert hidden not in told
    for path in (
        "/no/such/page",
        "/media/../../etc/passwd",
        "/_stcore/upload_file/a/b",
        "/component/x/../y",
        "/%00",
    ):
        status, text = whole(broken, path)
        assert status < 500, path
        for hidden in (str(ROOT), "Traceback", "site-packages", "root:"):
            assert hidden not in text, path


def whole(port: int, path: str) -> tuple[int, str]:
    """Status, headers and body of a GET."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        text = connection.makefile("rb").read().decode("utf-8", errors="replace")
    return int(text.split()[1]), text


def test_a_foreign_name_is_told_nothing(broken: int):
    status, headers = answer(broken, "GET / HTTP/1.1\nHost: evil.example\nConnection: close")
    assert status == 403
    assert str(ROOT) not in headers


def test_tabs_speak_to_the_real_server(small: int):
    """The client of these tests sees what a browser sees."""
    with tab(small) as session:
        assert isinstance(session, Tab)
        kinds = {message.WhichOneof("type") for message in session.open("explore")}
    assert {"new_session", "delta", "script_finished"} <= kinds
