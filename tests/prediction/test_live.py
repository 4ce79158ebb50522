"""The live camera: faces keep their number, answers are smoothed by the clock, nothing is kept."""

import json
import socket
import threading
import time
from io import BytesIO

import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard import camera_route
from dashboard.sharing import SameHost
from fer import runs
from fer.data.demo import draw_photo
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.prediction import Face, FacePrediction, Predictor, live
from fer.prediction.live import LiveFaces, overlap

from .test_predictor import make_run


def seen(box=(10, 10, 50, 50), **values) -> FacePrediction:
    ensemble = dict.fromkeys(EMOTIONS, 0.0) | values
    best = max(ensemble, key=ensemble.get)
    crop = np.zeros((48, 48), np.uint8)
    return FacePrediction(Face(box, 0.9), crop, {}, ensemble, best, ensemble[best], True)


@pytest.fixture
def faces():
    return LiveFaces(None, smoothing=1.0, unsure_below=0.6)


def test_one_frame_is_shown_as_it_is(faces):
    (face,) = faces.update([seen(happy=0.9, sad=0.1)], 0.0)
    assert (face["number"], face["emotion"], face["sure"]) == (1, "happy", True)
    assert face["probabilities"]["happy"] == 0.9


def test_answers_are_averaged_by_the_clock_not_by_the_frame():
    """A jump from happy to sad, looked at 5 and 50 times in one second, has come equally far."""
    reached = []
    for frames in (5, 50):
        faces = LiveFaces(None, smoothing=1.0)
        faces.update([seen(happy=1.0)], 0.0)
        for number in range(1, frames + 1):
            (face,) = faces.update([seen(sad=1.0)], number / frames)
        assert sum(face["probabilities"].values()) == pytest.approx(1)
        reached.append(face["probabilities"]["sad"])
    assert reached == pytest.approx([1 - np.exp(-1)] * 2)


def test_without_smoothing_the_last_frame_counts_alone():
    faces = LiveFaces(None, smoothing=0)
    faces.update([seen(happy=1.0)], 0.0)
    (face,) = faces.update([seen(sad=1.0)], 0.01)
    assert face["emotion"] == "sad"
    assert face["confidence"] == 1.0


def test_faces_keep_their_numbers_while_they_move_and_change_places_in_the_list(faces):
    faces.update([seen((0, 0, 60, 60), happy=1.0), seen((200, 0, 50, 50), sad=1.0)], 0.0)
    found = faces.update([seen((205, 4, 64, 64), sad=1.0), seen((6, 2, 60, 60), happy=1.0)], 0.1)
    assert [face["number"] for face in found] == [2, 1]
    assert [face["emotion"] for face in found] == ["sad", "happy"]


def test_a_face_hidden_for_a_moment_keeps_its_number_and_one_long_gone_does_not(faces):
    faces.update([seen(happy=1.0)], 0.0)
    assert faces.update([], 0.3) == []
    assert faces.update([seen(happy=1.0)], 0.6)[0]["number"] == 1
    (face,) = faces.update([seen(sad=1.0)], 0.6 + live.FORGET + 0.1)
    assert (face["number"], face["emotion"]) == (2, "sad")


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 10, 10), (20, 20, 5, 5)) == 0


@pytest.mark.parametrize(("smoothing", "unsure"), [(-1, 0.5), (11, 0.5), (1, 2)])
def test_settings_that_cannot_be_used_are_refused(smoothing, unsure):
    with pytest.raises(UserError):
        LiveFaces(None, smoothing, unsure)


@pytest.fixture(scope="module")
def run(session_cache):
    made = runs.create_run({"classes": list(EMOTIONS)}, name="for the camera", recipe="baseline_cnn")
    small = make_run(made.directory.parent / "small", seed=1)
    for name in ("best.keras", "model.json"):
        (small / name).rename(made.directory / name)
    runs.record_finished(made)
    return made


@pytest.fixture(scope="module")
def address():
    """The route on a real server, behind the check of the dashboard."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = Starlette(
        routes=[camera_route.ROUTE], middleware=[Middleware(SameHost, hosts=("localhost", "127.0.0.1"))]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"ws://127.0.0.1:{listening.getsockname()[1]}{camera_route.PATH}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def picture():
    buffer = BytesIO()
    Image.fromarray(draw_photo(3, 320, 240)[0]).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def ask(camera, message) -> dict:
    camera.send(message if isinstance(message, bytes) else json.dumps(message))
    return json.loads(camera.recv(timeout=60))


def test_a_camera_gets_the_answers_of_the_predictor(address, run, picture, session_cache, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(session_cache))
    with connect(address) as camera:
        assert ask(camera, {"runs": [run.id], "smoothing": 0, "unsure_below": 0.99}) == {"ready": True}
        (face,) = ask(camera, picture)["faces"]
        (expected,) = Predictor([run]).predict(picture)
        assert tuple(face["box"]) == expected.box
        assert face["probabilities"] == pytest.approx(expected.ensemble, abs=1e-5)
        assert not face["sure"]
        assert ask(camera, {"runs": [run.id], "smoothing": 0, "unsure_below": 0.01}) == {"ready": True}
        (again,) = ask(camera, picture)["faces"]
        assert (again["number"], again["sure"]) == (face["number"], True)


def test_what_a_camera_should_not_send_gets_a_sentence(address, run, picture, session_cache, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(session_cache))
    with connect(address) as camera:
        assert "first" in ask(camera, picture)["error"]
        for wrong in ("nonsense", [1], {"runs": []}, {"runs": 3}, {"runs": [run.id], "smoothing": "x"}):
            assert ask(camera, wrong)["error"].endswith(".")
        assert "nobody" in ask(camera, {"runs": ["nobody"]})["error"]
        assert ask(camera, {"runs": [run.id]}) == {"ready": True}
        assert "text" in ask(camera, b"not a picture")["error"]
        monkeypatch.setattr(live, "MAX_FRAME", 1000)
        assert "limit" in ask(camera, picture)["error"]
        monkeypatch.undo()
        monkeypatch.setenv("FER_CACHE", str(session_cache))
        assert len(ask(camera, picture)["faces"]) == 1  # the connection still works


def test_another_page_gets_no_connection(address):
    with pytest.raises(InvalidStatus, match="403"), connect(address, origin="https://evil.example"):
        pass


def test_a_silent_camera_is_let_go(address, monkeypatch):
    monkeypatch.setattr(camera_route, "SILENCE", 0.2)
    with connect(address) as camera, pytest.raises(Exception, match="1000"):
        camera.recv(timeout=10)
