"""The HTTP interface says what the library says, refuses what it refuses, and keeps no photo."""

import re

import numpy as np
import pytest

from fer.data.demo import draw_face, draw_photo
from fer.prediction import Predictor, photo

from .corpus import bad_photos, encode

pytest.importorskip("fastapi", reason="needs the optional package FastAPI")


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


@pytest.mark.parametrize("case", ["empty", "text", "svg", "png truncated", "png bomb 30000"])
def test_what_is_no_photo_gets_one_sentence(client, case):
    response = client.post("/predict", content=bad_photos()[case])
    assert response.status_code == 415
    assert response.json()["detail"].endswith(".")


@pytest.mark.parametrize("case", ["tiny", "narrow"])
def test_a_photo_too_small_for_a_face_has_nobody_in_it(client, case):
    response = client.post("/predict", content=bad_photos()[case])
    assert response.status_code == 200
    assert response.json()["faces"] == []
    assert "too few for a face" in response.json()["message"]


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

    page = client.get("/docs").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert any(address.endswith(".js") for address in loaded)
    for address in loaded:  # a page that works without a network and tells nobody that it was opened
        assert address.startswith("/")
        assert client.get(address).status_code == 200
