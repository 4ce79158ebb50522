"""A server of two small networks, shared by the tests of the HTTP interface."""

import socket
import threading
import time

import pytest
import requests

from .test_predictor import make_run


class Client:
    """Requests to a real server on a free port of this machine."""

    def __init__(self, app):
        import uvicorn

        self.socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def get(self, path, **options):
        return requests.get(self.base + path, timeout=60, **options)

    def post(self, path, content, **options):
        return requests.post(self.base + path, data=content, timeout=60, **options)

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = tmp_path_factory.mktemp("service")
    return [make_run(base / "one", seed=1), make_run(base / "two", seed=2)]


@pytest.fixture(scope="module")
def client(runs):
    service = pytest.importorskip("fer.prediction.service", reason="needs the optional package FastAPI")
    client = Client(service.create_app(runs))
    yield client
    client.close()
