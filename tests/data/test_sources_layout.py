"""Paths and words: which split and class they mean."""

import pytest

from fer.data.sources_layout import CLASS_WORDS, Place, class_name, is_litter, place, usage
from fer.emotions import EMOTIONS


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("train/angry/a.jpg", "train/angry/a.jpg"),
        ("FER 2013/Train/Anger/a.JPG", "train/angry/a.JPG"),
        ("x/y/z/VALID/Happiness/1.png", "validation/happy/1.png"),
        ("test data/training/surprised/b.jpg", "train/surprise/b.jpg"),
        ("train/test/fear/c.jpeg", "test/fear/c.jpeg"),
        ("PrivateTest/sadness/d.jpg", "PrivateTest/sad/d.jpg"),
    ],
)
def test_places(path, name):
    assert place(path).name == name


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("train/contempt/a.jpg", "unknown class folder 'contempt'"),
        ("train/3/a.jpg", "two numberings"),
        ("train/a.jpg", "not in a class folder"),
        ("train/angry/more/a.jpg", "deeper"),
        ("train/angry/a.txt", "not an image file"),
        ("somewhere/a.jpg", "not below a train"),
    ],
)
def test_reasons(path, reason):
    assert reason in place(path)


def test_class_folder_alone_has_no_split():
    assert place("faces/joy/a.jpg") == Place("", "happy", "", "a.jpg")


def test_every_word_is_an_emotion_and_every_emotion_a_word():
    assert set(CLASS_WORDS.values()) == set(EMOTIONS)
    assert all(class_name(emotion.upper()) == emotion for emotion in EMOTIONS)


def test_usage():
    assert usage("Training") == ("train", "Training")
    assert usage(" publictest ".strip()) == ("test", "PublicTest")
    assert usage("PrivateTest") == ("test", "PrivateTest")
    assert usage("whatever") is None


def test_litter():
    assert is_litter("__MACOSX/train/angry/._a.jpg")
    assert is_litter("train/angry/.DS_Store")
    assert is_litter("train/Thumbs.db")
    assert not is_litter("train/angry/a.jpg")
