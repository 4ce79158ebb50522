"""A browser tab without a browser: speaks Streamlit's protocol over a real WebSocket."""

import contextlib
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


class Tab:
    """An open page: `session` is its id, `messages` everything the server sent."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket
        self.session = ""
        self.messages: list[ForwardMsg] = []

    def open(self, page: str, **query: str) -> list[ForwardMsg]:
        """Go to a page; the messages until its script has ended."""
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = urlencode(query)
        self.socket.send(message.SerializeToString())
        seen: list[ForwardMsg] = []
        while not seen or seen[-1].WhichOneof("type") != "script_finished":
            seen.append(ForwardMsg.FromString(self.socket.recv(60)))  # type: ignore[arg-type]
            if seen[-1].WhichOneof("type") == "new_session":
                self.session = seen[-1].new_session.initialize.session_id or self.session
        self.messages += seen
        return seen

    def upload_address(self) -> str:
        """Where this tab may put a file."""
        message = BackMsg()
        message.file_urls_request.request_id = "one"
        message.file_urls_request.file_names.append("photo.png")
        message.file_urls_request.session_id = self.session
        self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(self.socket.recv(60))  # type: ignore[arg-type]
            if answer.WhichOneof("type") == "file_urls_response":
                return "/" + answer.file_urls_response.file_urls[0].upload_url.lstrip("/")


@contextlib.contextmanager
def tab(port: int) -> Iterator[Tab]:
    origin = f"http://localhost:{port}"
    address = f"ws://localhost:{port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], origin=origin, max_size=None) as socket:  # type: ignore[arg-type, list-item]
        yield Tab(socket)


def token(port: int) -> str:
    """The XSRF token a browser is given with its first page."""
    with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=30) as answer:
        cookies = " ".join(answer.headers.get_all("Set-Cookie") or [])
    found = re.search(r"_streamlit_xsrf=([^;]+)", cookies)
    assert found, cookies
    return found[1]
