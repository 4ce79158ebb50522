"""The HTTP interface says what the library says, refuses what it refuses, and keeps no photo."""

import socket
import threading
import time

import numpy as np
import pytest
import requests

from fer.data.demo import draw_face, draw_photo
from fer.prediction import Predictor, photo

from .corpus import bad_photos, encode
from .test_predictor import make_run

uvicorn = pytest.importorskip("uvicorn", reason="needs the optional package uvicorn")
service = pytest.importorskip("fer.prediction.service", reason="needs the optional package FastAPI")


class Client:
    """Requests to a real server on a free port of this machine."""

    def __init__(self, app):
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
    client = Client(service.create_app(runs))
    yield client
    client.close()


@pytest.fixture(scope="module")
def picture():
    return draw_photo(3, 900, 600, faces=2)[0]


def test_health_and_models(client):
    assert client.get("/health").json()["status"] == "ok"
    assert [model["id"] for model in client.get("/models").json()] == ["one", "two"]


def test_predicts_what_the_library_predicts(client, runs, picture):
    answer = client.post("/predict", content=encode(picture, "PNG")).json()
    expected = Predictor(runs).predict(picture)
    assert answer["message"] == "2 faces were found, the largest first."
    assert len(answer["faces"]) == 2
    for got, face in zip(answer["faces"], expected, strict=True):
        assert tuple(got["box"]) == face.box
        assert got["emotion"] == face.emotion
        for run in ("one", "two"):
            assert got["probabilities"][run] == pytest.approx(face.probabilities[run], abs=1e-5)


def test_one_model_and_the_options(client):
    crop = encode(np.stack([draw_face(3, (1, 2))[0]] * 3, -1), "PNG")
    query = {"model": "two", "views": True, "dropout_passes": 5, "unsure_below": 1}
    (face,) = client.post("/predict", content=crop, params=query).json()["faces"]
    assert list(face["probabilities"]) == ["two"]
    assert not face["sure"]
    assert max(face["spread"]["two"].values()) > 0
    assert client.post("/predict", content=crop, params={"model": "three"}).status_code == 404
    assert client.post("/predict", content=crop, params={"unsure_below": 2}).status_code == 422


@pytest.mark.parametrize("case", ["empty", "text", "svg", "png truncated", "png bomb 30000", "narrow"])
def test_what_is_no_photo_gets_one_sentence(client, case):
    response = client.post("/predict", content=bad_photos()[case])
    assert response.status_code == 415
    assert response.json()["detail"].endswith(".")


def test_too_large_a_body_is_refused_while_it_arrives(client, monkeypatch):
    monkeypatch.setattr(photo, "MAX_BYTES", 1_000_000)
    response = client.post("/predict", content=(bytes(400_000) for _ in range(5)))
    assert response.status_code == 413
    assert "1 MB" in response.json()["detail"]


def test_a_foreign_host_is_refused(client):
    """A page elsewhere cannot reach the server by pointing its own name at this machine."""
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_the_interface_describes_itself(client):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/health", "/models", "/predict"}
    assert client.get("/docs").status_code == 200
