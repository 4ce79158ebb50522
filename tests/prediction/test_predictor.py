"""Photos in, probabilities out: one network or several, with every option, and nothing on the disk."""

import io
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fer.data.demo import draw_face, draw_photo
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.prediction import (
    NO_FACE,
    Options,
    Predictor,
    describe,
    face_from_box,
    predict_files,
    read_zip,
    table_rows,
)
from fer.prediction.network import shifted_views
from fer.storage import PROJECT

from .corpus import bad_photos, encode


def make_run(directory: Path, classes=EMOTIONS, seed=1, dropout=0.5, temperature=None) -> Path:
    """A run directory with a small untrained network whose answers depend on the image."""
    import keras
    from keras import layers

    from fer.models.loading import save_model

    keras.utils.set_random_seed(seed)
    images = keras.Input((48, 48, 1))
    x = layers.AveragePooling2D(4)(images)
    x = layers.BatchNormalization()(layers.Flatten()(x))
    x = layers.Dropout(dropout)(layers.Dense(32, activation="relu")(x))
    outputs = layers.Dense(len(classes), activation="softmax")(x)
    directory.mkdir(parents=True)
    save_model(keras.Model(images, outputs), directory / "best.keras")
    (directory / "config.json").write_text(json.dumps({"classes": list(classes)}))
    facts = {"classes": list(classes)} | ({"temperature": temperature} if temperature else {})
    (directory / "model.json").write_text(json.dumps(facts))
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    five = tuple(e for e in EMOTIONS if e not in ("disgust", "fear"))
    return [make_run(base / "seven", seed=1), make_run(base / "five", five, seed=2, dropout=0)]


@pytest.fixture(scope="module")
def predictor(runs):
    return Predictor(runs)


@pytest.fixture(scope="module")
def photo():
    return draw_photo(3, 900, 600, faces=2)[0]


@pytest.fixture(scope="module")
def crops():
    return np.stack([draw_face(label, (label, 5))[0] for label in range(7)])


def test_crops_get_the_answers_of_each_network(runs, predictor, crops):
    from fer.models.loading import load_model

    answers = predictor.predict_crops(crops)
    assert answers.shape == (2, 7, 7)
    assert answers.dtype == np.float32
    inputs = crops[..., None].astype(np.float32) / 255
    seven = load_model(runs[0] / "best.keras").predict(inputs, verbose=0)
    five = load_model(runs[1] / "best.keras").predict(inputs, verbose=0)
    np.testing.assert_allclose(answers[0], seven, atol=1e-5)
    np.testing.assert_allclose(answers[1][:, [0, 3, 4, 5, 6]], five, atol=1e-5)
    assert (answers[1][:, [1, 2]] == 0).all()


@pytest.mark.parametrize("count", [0, 1, 3, 9, 70])
def test_the_size_of_the_batch_does_not_change_an_answer(predictor, crops, count):
    many = crops[np.arange(count) % 7]
    answers = predictor.predict_crops(many)
    assert answers.shape == (2, count, 7)
    single = predictor.predict_crops(crops)
    np.testing.assert_allclose(answers, single[:, np.arange(count) % 7], atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((48, 48), np.uint8), np.zeros((1, 48, 48)), np.zeros((1, 96, 96))]
)
def test_other_crops_are_refused(predictor, wrong):
    with pytest.raises(UserError, match="48"):
        predictor.predict_crops(wrong)


def test_every_face_of_a_photo_gets_seven_probabilities_from_every_run(predictor, photo):
    found = predictor.predict(photo)
    assert len(found) == 2
    assert describe(found) == "2 faces were found, the largest first."
    for face in found:
        assert list(face.probabilities) == ["seven", "five"]
        for values in face.probabilities.values():
            assert list(values) == list(EMOTIONS)
            assert sum(values.values()) == pytest.approx(1, abs=1e-4)
        for emotion in EMOTIONS:
            mean = np.mean([values[emotion] for values in face.probabilities.values()])
            assert face.ensemble[emotion] == pytest.approx(mean, abs=1e-6)
        assert face.emotion == max(face.ensemble, key=face.ensemble.get)
        assert face.confidence == pytest.approx(face.ensemble[face.emotion])
        answers = predictor.predict_crops(face.crop[None])
        assert answers[0, 0, 3] == pytest.approx(face.probabilities["seven"]["happy"], abs=1e-5)


def test_a_photo_file_is_decoded_and_a_broken_one_said(predictor, photo):
    assert len(predictor.predict(encode(photo, "PNG"))) == 2
    with pytest.raises(UserError, match="text"):
        predictor.predict(b"hello")
    with pytest.raises(UserError, match="uint8"):
        predictor.predict(photo[..., 0])


def test_a_photo_without_faces_gives_an_empty_list_and_a_sentence(predictor):
    found = predictor.predict(np.full((300, 400, 3), 127, np.uint8))
    assert found == []
    assert describe(found) == NO_FACE


def test_a_box_drawn_by_hand_is_used_instead_of_the_detector(predictor, photo):
    (found,) = predictor.predict(photo, faces=[face_from_box(photo, (10, 10, 80, 80))])
    assert found.box == (10, 10, 80, 80)


def test_unsure_below_the_stated_confidence(predictor, photo):
    confidence = predictor.predict(photo)[0].confidence
    assert predictor.predict(photo, Options(unsure_below=confidence - 0.01))[0].sure
    assert not predictor.predict(photo, Options(unsure_below=confidence + 0.01))[0].sure


def test_views_average_ten_shifted_and_mirrored_crops(predictor, crops):
    views = shifted_views(crops)
    assert views.shape == (10, 7, 48, 48)
    assert (views[0] == crops).all()
    assert (views[5] == crops[..., ::-1]).all()
    assert (views[1][:, 2:] == crops[:, :-2]).all()
    expected = np.mean([predictor.predict_crops(view) for view in views], axis=0)
    np.testing.assert_allclose(predictor.predict_crops(crops, Options(views=True)), expected, atol=1e-5)


def test_dropout_passes_give_a_spread_where_there_is_dropout(predictor, photo, crops):
    before = predictor.predict_crops(crops)
    (face, *_) = predictor.predict(photo, Options(dropout_passes=20))
    assert list(face.spread) == ["seven"]
    assert 0.001 < max(face.spread["seven"].values()) < 0.5
    np.testing.assert_array_equal(predictor.predict_crops(crops), before)


def test_a_temperature_flattens_the_answers_and_keeps_their_order(tmp_path, crops):
    plain = Predictor([make_run(tmp_path / "plain", seed=4)]).predict_crops(crops)[0]
    warm = Predictor([make_run(tmp_path / "warm", seed=4, temperature=3.0)]).predict_crops(crops)[0]
    assert (warm.max(axis=1) < plain.max(axis=1)).all()
    assert (warm.argsort(axis=1) == plain.argsort(axis=1)).all()
    (tmp_path / "warm" / "calibration.json").write_text('{"temperature": 0}')
    with pytest.raises(UserError, match="above 0"):
        Predictor([tmp_path / "warm"])


@pytest.mark.parametrize("options", [{"unsure_below": 2}, {"dropout_passes": -1}, {"dropout_passes": 1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(UserError):
        Options(**options)


def test_missing_and_broken_networks_are_refused(tmp_path, runs):
    with pytest.raises(UserError, match="no model"):
        Predictor([])
    with pytest.raises(UserError, match="no run directory"):
        Predictor([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no model file"):
        Predictor([tmp_path / "empty"])
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "best.keras").write_bytes((runs[0] / "best.keras").read_bytes()[:3000])
    with pytest.raises(UserError, match="cannot be read"):
        Predictor([tmp_path / "torn"])


def test_threads_get_the_same_answers(predictor, photo):
    expected = predictor.predict(photo)[0].probabilities["seven"]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: predictor.predict(photo), range(8)):
            assert found[0].probabilities["seven"] == pytest.approx(expected, abs=1e-5)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_zip_gives_one_result_per_file_in_order(predictor, photo):
    bad = bad_photos()
    content = zipped(
        {
            "a/two.jpg": encode(photo, "JPEG", quality=95),
            "__MACOSX/a/._two.jpg": b"x",
            "a/nobody.png": encode(np.full((64, 200, 3), 90, np.uint8), "PNG"),
            "../../etc/torn.png": bad["png truncated"],
            "notes.txt": b"hello",
            "b/face.png": encode(np.stack([draw_face(3, (1, 1))[0]] * 3, -1), "PNG"),
        }
    )
    results = list(predict_files(predictor, read_zip(content)))
    assert [r.name for r in results] == [
        "a/two.jpg", "a/nobody.png", "../../etc/torn.png", "notes.txt", "b/face.png",
    ]  # fmt: skip
    assert [len(r.faces) for r in results] == [2, 0, 0, 0, 1]
    assert results[1].error == NO_FACE
    assert "damaged" in results[2].error
    assert "not a photo" in results[3].error
    rows = table_rows(results)
    assert len(rows) == 6
    assert [row["face"] for row in rows] == [1, 2, None, None, None, 1]
    assert sum(rows[0][emotion] for emotion in EMOTIONS) == pytest.approx(1, abs=1e-4)


def test_more_photos_than_fit_in_a_group_keep_their_faces(predictor):
    images = [np.stack([draw_face(n % 7, (n, 2))[0]] * 3, -1) for n in range(11)]
    results = list(predict_files(predictor, ((f"{n}", encode(i, "PNG")) for n, i in enumerate(images))))
    for result, image in zip(results, images, strict=True):
        assert (result.faces[0].crop == image[..., 0]).all()


def test_a_zip_bomb_is_read_with_a_cap_and_a_broken_zip_is_said(predictor, monkeypatch):
    from fer.prediction import batch, photo

    monkeypatch.setattr(photo, "MAX_BYTES", 100_000)
    (result,) = predict_files(predictor, read_zip(zipped({"bomb.png": bytes(5_000_000)})))
    assert "limit" in result.error
    with pytest.raises(UserError, match="not a zip"):
        list(read_zip(b"PK\3\4 nothing"))
    monkeypatch.setattr(batch, "MAX_MEMBERS", 1)
    with pytest.raises(UserError, match="2 files"):
        list(read_zip(zipped({"a.png": b"", "b.png": b""})))


def test_photos_stay_in_memory(predictor, photo, tmp_path, monkeypatch):
    """Every way into the file system that Python announces is watched while photos are predicted."""
    predictor.predict(photo, Options(views=True, dropout_passes=2))  # what loads lazily is loaded
    heic, zipfile_ = encode(photo, "HEIF"), zipped({"a.webp": encode(photo, "WEBP")})
    monkeypatch.chdir(tmp_path)
    watched, written = True, []

    def hook(event, arguments):
        if not watched:
            return
        if event == "open" and (
            any(letter in str(arguments[1]) for letter in "wax+")
            or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        ):
            written.append(arguments)
        if event in ("os.mkdir", "os.rename", "tempfile.mkstemp", "tempfile.mkdtemp", "socket.connect"):
            written.append((event, arguments))

    sys.addaudithook(hook)
    before = {path: path.stat().st_mtime_ns for path in _project_files()}
    try:
        assert predictor.predict(heic, Options(views=True, dropout_passes=2))
        assert next(predict_files(predictor, read_zip(zipfile_))).faces
        with pytest.raises(UserError):
            predictor.predict(b"broken")
    finally:
        watched = False
    assert written == []
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]
    assert list((tmp_path / "cache").iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in _project_files()} == before


def _project_files() -> list[Path]:
    """Without byte code: another process may write it at any time."""
    files = (PROJECT / "fer" / "prediction").rglob("*")
    return [path for path in files if "__pycache__" not in path.parts]


def test_importing_prediction_imports_no_tensorflow():
    heavy = ("tensorflow", "keras", "streamlit")
    program = f"import sys, fer.prediction; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
