"""The Predict page: a zip gives a table, a browser's boxes are not trusted, an export says its difference."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard import batching, boxing
from fer import runs as library
from fer.data.demo import draw_photo
from fer.emotions import EMOTIONS
from fer.prediction import Face
from tests.pages.conftest import open_page
from tests.prediction.test_predictor import make_run


@pytest.fixture
def run(cache: Path) -> library.Run:
    made = library.create_run({"classes": list(EMOTIONS)}, name="small", recipe="baseline_cnn")
    folder = make_run(cache / "network", seed=1)
    for name in ("best.keras", "model.json"):
        (folder / name).rename(made.directory / name)
    library.record_finished(made)
    return made


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@pytest.fixture
def album() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/one.jpg", jpeg(draw_photo(3, 640, 480)[0]))
        archive.writestr("a/two.jpg", jpeg(draw_photo(3, 900, 600, faces=2)[0]))
        archive.writestr("a/notes.txt", "hello")
        archive.writestr("=cmd|' /C calc'!A0.jpg", b"\xff\xd8\xff broken")
    return buffer.getvalue()


def test_a_zip_becomes_a_table_with_faces_and_reasons(run, demo_dataset, album, monkeypatch):
    predicted = []
    original = batching.predict_files
    monkeypatch.setattr(batching, "predict_files", lambda *a: predicted.append(1) or original(*a))
    page = open_page("predict", photos="Many photos")
    assert "JPEG, PNG, WebP, HEIC, AVIF or GIF" in page.info[0].value
    page = page.file_uploader[0].upload("album.zip", album).run()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["file"]) == [
        "a/one.jpg",
        "a/two.jpg",
        "a/two.jpg",
        "a/notes.txt",
        "'=cmd|' /C calc'!A0.jpg",
    ]
    assert list(table["face"].dropna()) == [1, 1, 2]
    assert all(url.startswith("data:image/png;base64,") for url in table["picture"][:3])
    assert "not a photo" in table["error"][3]
    assert "damaged" in table["error"][4]
    assert np.allclose(table[list(EMOTIONS)][:3].sum(axis=1), 1, atol=1e-4)
    assert any("4 photos, 3 faces; 2 without one" in caption.value for caption in page.caption)
    page = page.slider[1].set_value(90).run()  # another threshold is another answer
    page = page.run()
    assert len(predicted) == 2
    assert not page.dataframe[0].value["sure"][:3].any()


def test_boxes_from_a_browser_are_checked():
    photo = draw_photo(3, 640, 480)[0]
    found = [Face((10, 10, 80, 90), 0.9, ((1.0, 2.0), (5.0, 2.0)))]
    square = {"x": 5, "y": 6, "width": 50, "height": 60, "source": None}
    assert boxing._faces(photo, found, [{"source": 0}]) == found
    (drawn,) = boxing._faces(photo, found, [square])
    assert (drawn.box, drawn.framed) == ((5, 6, 50, 60), True)
    hostile = [
        None, 3, "x", {}, {"source": 7}, {"source": -1}, square | {"x": "a"}, {"source": True, "x": 1},
        square | {"width": float("nan")}, square | {"x": float("inf")}, [square],
    ]  # fmt: skip
    for box in hostile:
        faces = boxing._faces(photo, found, [box])
        assert len(faces) <= 1
    assert boxing._faces(photo, found, {"not": "a list"}) == []
    assert len(boxing._faces(photo, found, [square] * 10_000)) == boxing.MAX_FACES


def test_uploads_of_photos_are_kept_in_memory():
    """The web server writes form uploads above this size to a temporary file."""
    from starlette.formparsers import MultiPartParser

    assert MultiPartParser.spool_max_size > batching.MOST_MEGABYTES * 1024**2


def test_an_export_says_how_much_it_differs(run):
    def page(run_id):
        from dashboard import exporting
        from fer.runs import open_run

        exporting.export(open_run(run_id))

    app = AppTest.from_function(page, args=(run.id,), default_timeout=120).run()
    app = next(b for b in app.button if b.label == "Make Keras (float32)").click().run()
    assert not app.exception
    (said,) = (c.value for c in app.caption if "differ" in c.value)
    assert float(re.search(r"at most (\S+);", said)[1]) <= 1e-4
