"""Faces are found where they were drawn, and cut out as FER-2013 would."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from fer.data.demo import draw_face, draw_photo
from fer.errors import UserError
from fer.prediction import faces
from fer.prediction.faces import Face, crop_face, face_from_box, find_faces, frame, place_heatmap
from fer.prediction.photo import decode_photo

from .corpus import with_orientation


@pytest.fixture(scope="module")
def portrait():
    return draw_photo(3, 640, 480)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def turned(photo: np.ndarray, degrees: float) -> np.ndarray:
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("people", [1, 3])
def test_finds_each_person_once_and_frames_them_as_fer2013_does(people):
    photo, truth = draw_photo(3, 900, 600, faces=people)
    found = sorted(find_faces(photo), key=lambda face: face.box[0])
    assert len(found) == people
    for face, (left, top, width, height) in zip(found, truth, strict=True):
        x, y, side, tilt = frame(face)
        assert side == pytest.approx(width, rel=0.2)
        assert abs(x - left - width / 2) < 0.1 * width
        assert abs(y - top - height / 2) < 0.1 * height
        assert abs(tilt) < 15


def test_the_largest_face_comes_first():
    photo, _ = draw_photo(3, 900, 600, faces=3)
    areas = [face.box[2] * face.box[3] for face in find_faces(photo)]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_finds_nobody_where_nobody_is(name):
    assert find_faces(load_sample_image(name)) == []


def test_a_tilted_face_is_cut_out_level(portrait):
    photo, _ = portrait
    straight = crop_face(photo, find_faces(photo)[0])
    for degrees in (-25, 25):
        tilted = turned(photo, degrees)
        face = find_faces(tilted)[0]
        assert frame(face)[3] == pytest.approx(-degrees, abs=8)
        assert similarity(crop_face(tilted, face), straight) > 0.8


def test_eight_orientations_give_the_same_crop(portrait):
    photo, _ = portrait
    crops = []
    for orientation in range(1, 9):
        upright = decode_photo(with_orientation(photo, orientation))
        crops.append(crop_face(upright, find_faces(upright)[0]))
    assert all((crop == crops[0]).all() for crop in crops)


def test_the_size_of_the_photo_does_not_change_the_crop(portrait):
    photo, _ = portrait
    crop = crop_face(photo, find_faces(photo)[0])
    for scale in (0.4, 2.5):
        other = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        assert similarity(crop_face(other, find_faces(other)[0]), crop) > 0.9


def test_an_image_of_fer2013_is_a_face_and_its_crop_is_itself():
    image, _ = draw_face(3, (1, 2))
    photo = np.stack([image] * 3, axis=-1)
    (face,) = find_faces(photo)
    assert face.framed
    assert (crop_face(photo, face) == image).all()


def test_a_box_drawn_by_hand_is_the_crop():
    photo, _ = draw_photo(3, 640, 480)
    face = face_from_box(photo, (-20, 40, 116, 96))
    assert face.box == (0, 40, 96, 96)
    grey = cv2.cvtColor(photo[40:136, :96], cv2.COLOR_RGB2GRAY)
    assert (crop_face(photo, face) == cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA)).all()


@pytest.mark.parametrize("box", [(700, 10, 50, 50), (10, 10, 3, 50), (-50, -50, 55, 55)])
def test_a_box_outside_or_too_small_is_refused(box, portrait):
    with pytest.raises(UserError, match="at least 12"):
        face_from_box(portrait[0], box)


@pytest.mark.parametrize("box", [(0, 0, 12, 12), (628, 468, 12, 12), (0, 0, 640, 480)])
def test_every_box_inside_can_be_cropped(box, portrait):
    photo, _ = portrait
    for face in (Face(box, 1.0, framed=True), Face(box, 0.9, ((1.0, 1.0), (5.0, 3.0)))):
        crop = crop_face(photo, face)
        assert crop.shape == (48, 48)
        assert crop.dtype == np.uint8


@pytest.mark.parametrize("degrees", [0, 20])
def test_a_heat_map_is_laid_where_the_crop_came_from(degrees, portrait):
    photo = turned(portrait[0], degrees)
    face = find_faces(photo)[0]
    heatmap = np.zeros((48, 48), np.float32)
    heatmap[8:16, 28:40] = 1
    placed = place_heatmap(photo.shape, face, heatmap)
    assert placed.shape == photo.shape[:2]
    back = crop_face(np.stack([(placed * 255).astype(np.uint8)] * 3, axis=-1), face)
    assert similarity(back, heatmap) > 0.9


def test_without_the_model_file_opencvs_cascade_is_used(portrait, monkeypatch):
    monkeypatch.setattr(faces, "model_path", lambda: None)
    photo, ((left, top, width, height),) = portrait
    found = find_faces(photo)
    assert any(
        abs(x + w / 2 - left - width / 2) < 0.2 * width and abs(y + h / 2 - top - height / 2) < 0.2 * height
        for x, y, w, h in (face.box for face in found)
    )


def test_a_changed_model_file_is_not_loaded(monkeypatch):
    monkeypatch.setattr(faces, "MODEL_SHA256", "0" * 64)
    assert faces.model_path.__wrapped__() is None


def test_many_threads_find_what_one_finds(portrait):
    photos = [portrait[0], load_sample_image("china.jpg"), cv2.resize(portrait[0], (320, 240))]
    expected = [find_faces(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find_faces, photos * 4)) == expected * 4
