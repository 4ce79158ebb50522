"""Imports: every shape of source, what is quarantined, and what a kill leaves."""

import gzip
import io
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer.data import sources_csv, sources_images, sources_kaggle
from fer.data.dataset import datasets_directory, delete_dataset, list_datasets, open_dataset, pixel_hashes
from fer.data.sources import import_source, release_warnings
from fer.data.sources_images import Collected, decode
from fer.data.sources_layout import place_all
from fer.emotions import EMOTIONS
from fer.errors import UserError
from tests.data.sourcekit import csv_label, csv_row, encoded, picture, release_files, write_folder, zipped

FULL = ["train", "validation", "test"]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "release", release_files(splits=FULL))


def test_folder(folder):
    result = import_source(folder)
    dataset = result.dataset
    assert dataset.name == "release"
    assert dataset.counts() == {split: dict.fromkeys(EMOTIONS, 3) for split in FULL}
    assert dataset.names == sorted(release_files(splits=FULL))
    for index in (0, 20, 62):
        stored = cv2.imdecode(np.frombuffer((folder / dataset.names[index]).read_bytes(), np.uint8), 0)
        np.testing.assert_array_equal(dataset.images[index], stored)
        assert EMOTIONS[dataset.labels[index]] == dataset.names[index].split("/")[1]
    assert (dataset.hashes == pixel_hashes(dataset.images)).all()
    assert list(dataset.indices("PublicTest")) == list(dataset.indices("test"))
    assert not result.quarantined
    assert not result.converted


def test_many_images_are_decoded_into_a_file_and_are_the_same_data_set(folder, monkeypatch, cache):
    """As a data set ten times FER-2013's size is: pixels on the disk, damaged ones closed up in place."""
    (folder / "train" / "angry" / "damaged.jpg").write_bytes(b"\xff\xd8\xff damaged")
    small = import_source(folder, name="in memory")
    stored = small.dataset.images[:].copy()
    delete_dataset(small.dataset.fingerprint)
    kinds = []
    monkeypatch.setattr("fer.data.sources_images.IN_MEMORY", 10)
    monkeypatch.setattr("fer.data.sources_images._CHUNK", 7)
    made = sources_images.pixel_store
    monkeypatch.setattr(
        sources_images, "pixel_store", lambda count: kinds.append(type(store := made(count))) or store
    )
    large = import_source(folder, name="in a file")
    assert kinds == [np.memmap]
    assert large.dataset.fingerprint == small.dataset.fingerprint
    np.testing.assert_array_equal(large.dataset.images, stored)
    assert len(large.quarantined) == 1
    assert [path.name for path in cache.iterdir() if path.is_file()] == [], "nothing is left beside it"


@pytest.mark.parametrize("root", ["", "wrapped/"])
def test_an_image_costs_its_name_not_an_object(root):
    """Memory that stays flat at a million images; tests/benchmarks/scale.py measures whole imports."""
    number = 20_000
    paths = [f"{root}train/{EMOTIONS[n % 7]}/image_{n:07d}.jpg" for n in range(number)]
    tracemalloc.start()
    placed = place_all(paths)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(placed.names) == number
    assert peak / number < (60 if not root else 160), "names that differ from the paths are kept beside them"


def test_of_two_files_with_one_name_the_first_is_imported(tmp_path):
    files = {f"{part}/train/angry/same.png": encoded(picture(n), ".png") for n, part in enumerate("ba")}
    result = import_source(write_folder(tmp_path / "twice", files))
    assert result.dataset.names == ["train/angry/same.png"]
    np.testing.assert_array_equal(result.dataset.images[0], picture(1))
    assert result.quarantined == [
        {
            "where": "b/train/angry/same.png",
            "reason": "has the same split, class and file name as a/train/angry/same.png",
        }
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("wrap", ["", "archive/", "a/b c/"])
def test_the_same_content_is_one_data_set(folder, tmp_path, method, wrap):
    first = import_source(folder, name="first")
    files = {wrap + path: content for path, content in reversed(release_files(splits=FULL).items())}
    (tmp_path / "other.zip").write_bytes(zipped(files, method))
    for source in (tmp_path / "other.zip", zipped(files, method), io.BytesIO(zipped(files, method))):
        again = import_source(source)
        assert again.dataset.fingerprint == first.dataset.fingerprint
        assert again.existed
        assert "first" in again.warnings[0]
    assert [info.name for info in list_datasets()] == ["first"]


def test_other_case_and_words_are_the_same_classes(folder, tmp_path):
    spelt = ["Anger", "Disgusted", "FEAR", "Happiness", "Neutral", "Sadness", "Surprised"]
    words = dict(zip(EMOTIONS, spelt, strict=True))
    files = {}
    for path, content in release_files(splits=FULL).items():
        split, emotion, file = path.split("/")
        files[f"{split.title()}/{words[emotion]}/{file}"] = content
    other = import_source(write_folder(tmp_path / "other", files))
    assert other.dataset.fingerprint == import_source(folder).dataset.fingerprint


def test_quarantine_names_place_and_reason_and_adds_up(tmp_path):
    files = release_files()
    good = len(files)
    whole = files["train/happy/Training_300.jpg"]
    bad = {
        "train/happy/empty.jpg": b"",
        "train/happy/half.jpg": whole[: len(whole) // 2],
        "train/happy/text.jpg": b"this is no image at all",
        "train/happy/short.png": encoded(picture(1), ".png")[:200],
        "train/happy/notes.txt": b"hello",
        "train/contempt/a.jpg": whole,
        "train/4/a.jpg": whole,
        "loose.jpg": whole,
    }
    litter = {".DS_Store": b"x", "__MACOSX/train/happy/._a.jpg": b"x", "train/happy/Thumbs.db": b"x"}
    for source in (write_folder(tmp_path / "d", files | bad | litter), zipped(files | bad | litter)):
        result = import_source(source)
        assert {entry["where"] for entry in result.quarantined} == set(bad)
        assert len(result.dataset) == good
        assert result.seen == good + len(bad)
        reasons = {entry["where"]: entry["reason"] for entry in result.quarantined}
        assert reasons["train/happy/empty.jpg"] == "empty file"
        assert "truncated" in reasons["train/happy/half.jpg"]
        assert "unknown class folder 'contempt'" in reasons["train/contempt/a.jpg"]
        assert "two numberings" in reasons["train/4/a.jpg"]
        assert result.dataset.meta["quarantined"] == result.quarantined
        assert any("2 images were left out" in text for text in result.warnings)
    assert list_datasets()[0].quarantined == len(bad)


def test_colour_and_other_sizes_are_converted_and_counted(tmp_path):
    colour, large, small = picture(1, colour=True), picture(2, 96), picture(3, 24)
    deep = picture(4).astype(np.uint16) * 257
    files = {
        "train/angry/colour.png": encoded(colour, ".png"),
        "train/happy/large.png": encoded(large, ".png"),
        "train/sad/small.png": encoded(small, ".png"),
        "train/fear/deep.png": encoded(deep, ".png"),
        "train/neutral/plain.png": encoded(picture(5), ".png"),
        "test/angry/colour.jpg": encoded(colour),
    }
    result = import_source(zipped(files))
    assert result.converted == 5
    images = dict(zip(result.dataset.names, result.dataset.images, strict=True))
    assert (
        abs(images["train/angry/colour.png"].astype(int) - cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)).max()
        <= 1
    )
    np.testing.assert_array_equal(
        images["train/happy/large.png"], cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA)
    )
    assert abs(images["train/fear/deep.png"].astype(int) - picture(4)).max() <= 1
    np.testing.assert_array_equal(images["train/neutral/plain.png"], picture(5))


def test_class_folders_without_splits_count_as_train():
    files = {path.split("/", 1)[1]: content for path, content in release_files(splits=["train"]).items()}
    result = import_source(zipped(files))
    assert list(result.dataset.counts()) == ["train"]
    assert any("counts as train" in text for text in result.warnings)


def test_litter_does_not_make_class_folders_a_release():
    files = {path.split("/", 1)[1]: content for path, content in release_files(splits=["train"]).items()}
    litter = {"__MACOSX/train/angry/._1.jpg": b"x", "train/angry/.2.jpg": b"x"}
    result = import_source(zipped(files | litter))
    assert result.dataset.counts() == {"train": dict.fromkeys(EMOTIONS, 3)}
    assert result.quarantined == []


def test_progress_runs_to_one(folder):
    seen = []
    import_source(folder, progress=lambda fraction, text: seen.append((fraction, text)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("63" in text for _, text in seen)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/place", "no file or folder"),
        ("bad\0name", "no file or folder"),
        (b"", "neither a zip nor a csv"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a zip nor a csv"),
        (b"PK\x03\x04" + bytes(50), "end is missing"),
        (zipped({}), "No image was found"),
        (zipped({"train/angry/a.jpg": b"nothing"}), "No usable image"),
        ("kaggle:../../etc", "OWNER/NAME"),
    ],
)
def test_unusable_sources_are_one_sentence(source, message):
    with pytest.raises(UserError, match=message) as error:
        import_source(source)
    assert "\n" not in str(error.value)
    assert not list_datasets()


# Archives that try something -------------------------------------------------------------------


def hostile(
    path="train/angry/a.jpg", content=b"x", attribute=0, flags=0, method=zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, image in release_files(1).items():
            archive.writestr(name, image)
        member = zipfile.ZipInfo(path)
        member.external_attr, member.compress_type = attribute, method
        archive.writestr(member, content)
    data = bytearray(buffer.getvalue())
    if flags:
        at = data.rfind(b"PK\x01\x02")
        data[at + 8] |= flags
    return bytes(data)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (hostile("../../outside.jpg"), "outside.jpg"),
        (hostile("train/angry/../../../outside.jpg"), "points outside"),
        (hostile("/etc/outside.jpg"), "points outside"),
        (hostile("C:/outside.jpg"), "points outside"),
        (hostile("..\\..\\outside.jpg"), "points outside"),
        (hostile("train/angry/link.jpg", b"/etc/passwd", 0o120777 << 16), "link.jpg' is a link"),
        (hostile(flags=1), "a.jpg' is encrypted"),
        (hostile("train/angry/bomb.jpg", bytes(40_000_000)), "bomb.jpg' unpacks"),
        (hostile("train/angry/odd.jpg", b"x" * 100, method=zipfile.ZIP_LZMA), "odd.jpg' uses compression"),
    ],
)
def test_hostile_archives_are_refused_naming_the_entry(archive, message, tmp_path, cache):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message.replace("\\", "\\\\")):
        import_source(archive)
    assert not list_datasets()
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


def test_200000_entries_are_refused_quickly(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for n in range(2000):
            archive.writestr(f"train/angry/{n}.jpg", b"")
    data = bytearray((tmp_path / "many.zip").read_bytes())
    data[-14:-10] = b"\xff\xff\xff\xff"
    zip64 = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12)
    zip64 += (200_000).to_bytes(8, "little") * 2 + (9_000_000).to_bytes(8, "little") + bytes(8)
    with pytest.raises(UserError, match="200,000 entries"):
        import_source(bytes(data[:-22]) + zip64 + bytes(data[-22:]))


def test_flattening_collisions_keep_the_first_and_name_the_other():
    files = release_files(1)
    name = next(iter(files))
    result = import_source(zipped(files | {"copy/" + name: encoded(picture(99))}))
    assert len(result.dataset) == len(files)
    (entry,) = result.quarantined
    assert {entry["where"], entry["reason"].rsplit(" ", 1)[-1]} == {name, "copy/" + name}


def test_a_damaged_member_is_quarantined():
    data = bytearray(zipped(release_files(1), zipfile.ZIP_STORED))
    at = data.find(b"\xff\xd8\xff")
    data[at + 300] ^= 0xFF
    result = import_source(bytes(data))
    assert len(result.quarantined) == 1
    assert "damaged in the zip" in result.quarantined[0]["reason"]
    assert result.seen == 14


def test_an_image_bomb_is_quarantined_unread():
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    with pytest.raises(UserError, match="pixels"):
        decode(buffer.getvalue())
    jpeg = bytearray(encoded(picture(1)))
    at = jpeg.find(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(UserError, match="65535 x 65535"):
        decode(bytes(jpeg))


def _saved(form: str, mode: str = "RGB", **options) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(cv2.cvtColor(picture(1, 60), cv2.COLOR_GRAY2RGB)).convert(mode).save(
        buffer, form, **options
    )
    return buffer.getvalue()


FORMATS_SEEN = {
    "cmyk": _saved("JPEG", "CMYK"),
    "progressive": _saved("JPEG", progressive=True),
    "palette": _saved("PNG", "P"),
    "transparent": _saved("PNG", "RGBA"),
    "gif": _saved("GIF"),
    "webp": _saved("WEBP", lossless=True),
    "bmp": _saved("BMP"),
    "tiff": _saved("TIFF"),
    "pgm": _saved("PPM", "L"),
}


@pytest.mark.parametrize("kind", FORMATS_SEEN)
def test_every_format_gives_the_same_face(kind):
    image, converted = decode(FORMATS_SEEN[kind])
    assert converted
    expected = cv2.resize(picture(1, 60), (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - expected).mean() < 8  # a palette of 216 web colours is dithered


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(FORMATS_SEEN)),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=5),
    cut=st.integers(0, 300),
)
def test_any_damaged_image_is_decoded_or_one_sentence(kind, flips, cut):
    data = bytearray(FORMATS_SEEN[kind])
    for position, mask in flips:
        data[position % len(data)] ^= mask
    try:
        image, _ = decode(bytes(data[: len(data) - cut]))
        sentence = ""
    except UserError as error:
        image, sentence = np.zeros((48, 48), np.uint8), str(error)
    assert image.shape == (48, 48)
    assert image.dtype == np.uint8
    assert "\n" not in sentence


def test_floating_point_images_are_quarantined():
    with pytest.raises(UserError, match="floating-point"):
        decode(_saved("TIFF", "F"))


# The csv ----------------------------------------------------------------------------------------


def csv_text(rows: list[str], header: str = "emotion,pixels,Usage") -> bytes:
    return "\n".join([header, *rows]).encode() + b"\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped({"fer2013.csv": data})])
def test_csv(pack, tmp_path):
    uses = ["Training", "PublicTest", "PrivateTest"]
    text = csv_text([csv_row(n, usage=uses[n % 3]) for n in range(21)])
    (tmp_path / "fer2013.csv").write_bytes(pack(text))
    result = import_source(tmp_path / "fer2013.csv")
    dataset = result.dataset
    assert dataset.name == "fer2013"
    assert len(dataset) == 21
    assert [int(label) for label in dataset.labels] == [csv_label(n % 7) for n in range(21)]
    np.testing.assert_array_equal(dataset.images[5], picture(5))
    assert list(dataset.indices("PrivateTest")) == list(range(2, 21, 3))
    assert sum(dataset.counts()["test"].values()) == 14
    assert dataset.names[0] == "row 1"


@pytest.mark.parametrize(
    "header", ["emotion, Usage, pixels", '"emotion","usage","pixels"', "\ufeffLabel,Split,Pixels"]
)
def test_csv_header_variants(header):
    rows = [f"{n % 7}, PublicTest,{' '.join(map(str, picture(n).ravel()))}" for n in range(7)]
    dataset = import_source(csv_text(rows, header)).dataset
    assert len(dataset.indices("PublicTest")) == 7
    np.testing.assert_array_equal(dataset.images[3], picture(3))


def test_csv_without_usage_is_train_and_names_are_labels():
    rows = [csv_row(n, name, None) for n, name in enumerate(["Happy", "sadness", "ANGRY"])]
    dataset = import_source(csv_text(rows, "emotion,pixels")).dataset
    assert [EMOTIONS[label] for label in dataset.labels] == ["happy", "sad", "angry"]
    assert list(dataset.counts()) == ["train"]


def test_malformed_rows_are_quarantined_with_their_number():
    pixels = picture(1).ravel().astype(str)
    bad = {
        "7," + " ".join(pixels) + ",Training": "label 7 is out of range",
        "-1," + " ".join(pixels) + ",Training": "label '-1'",
        "x," + " ".join(pixels) + ",Training": "label 'x'",
        "1," + " ".join(pixels[:-1]) + ",Training": "2,303 pixels",
        "1," + " ".join([*pixels[:-1], "256"]) + ",Training": "pixel value '256'",
        "1," + " ".join([*pixels[:-1], "-4"]) + ",Training": "pixel value '-4'",
        "1," + " ".join([*pixels[:-1], "1.5"]) + ",Training": "pixel value '1.5'",
        "1," + " ".join([*pixels[:-1], "nan"]) + ",Training": "pixel value 'nan'",
        "1," + " ".join(pixels) + ",Sometimes": "unknown Usage 'Sometimes'",
        "1": "1 columns",
        "1," + "1 " * 400_000 + ",Training": "line longer",
    }
    rows = [row for n, text in enumerate(bad) for row in (csv_row(n), text)]
    result = import_source(csv_text(rows))
    assert len(result.dataset) == len(bad)
    assert result.seen == 2 * len(bad)
    for n, (entry, reason) in enumerate(zip(result.quarantined, bad.values(), strict=True)):
        assert entry["where"] == f"row {2 * n + 2} (line {2 * n + 3})"
        assert reason in entry["reason"]
    assert result.dataset.names[1] == "row 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"emotion,Usage\n1,Training\n", "lacks the column pixels"),
        (b"a,b,c\n1,2,3\n", "lacks the column emotion and pixels"),
        (csv_text([]), "No image was found"),
        (csv_text(["9,1 2 3,Training"]), "row 1"),
        (gzip.compress(csv_text([csv_row(1)]))[:-200], "gzip is damaged"),
    ],
)
def test_csv_errors_are_one_sentence(text, message):
    with pytest.raises(UserError, match=message):
        import_source(text)


def test_csv_limits(monkeypatch):
    monkeypatch.setattr(sources_csv, "MAX_ROWS", 5)
    with pytest.raises(UserError, match="more than 5 rows"):
        import_source(csv_text([csv_row(n) for n in range(6)]))
    monkeypatch.setattr(sources_csv, "MAX_BYTES", 1_000_000)
    bomb = gzip.compress(b"emotion,pixels\n" + b"1" * 3_000_000)
    with pytest.raises(UserError, match="1,000,000 bytes"):
        import_source(bomb)


# Fuzz: whatever comes, either a data set that adds up or one sentence ----------------------------


def assert_import_or_sentence(data: bytes) -> None:
    try:
        result = import_source(data)
    except UserError as error:
        sentence = str(error)
    else:
        sentence = ""
        assert_adds_up(result)
    assert "\n" not in sentence


def assert_adds_up(result):
    assert len(result.dataset) >= 1
    assert all(entry["where"] and entry["reason"] for entry in result.quarantined)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.one_of(
            st.builds(csv_row, st.integers(0, 50), st.one_of(st.integers(-3, 9), st.text(max_size=5))),
            st.text(max_size=60),
        ),
        max_size=6,
    ),
    header=st.sampled_from(["emotion,pixels,Usage", "emotion,pixels", "Usage,emotion,pixels", ""]),
    cut=st.integers(0, 400),
    squeeze=st.booleans(),
)
def test_any_csv(rows, header, cut, squeeze):
    data = "\n".join([header, *rows]).encode("utf-8", "surrogatepass")
    data = data[: len(data) - cut] if cut else data
    assert_import_or_sentence(gzip.compress(data) if squeeze else data)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=6), cut=st.integers(0, 60)
)
def test_any_damaged_zip(flips, cut):
    data = bytearray(SMALL_ZIP)
    for position, mask in flips:
        data[position % len(data)] ^= mask
    assert_import_or_sentence(bytes(data[: len(data) - cut]))


SMALL_ZIP = zipped(dict(list(release_files(1).items())[:4]))


# Kaggle -----------------------------------------------------------------------------------------


def test_kaggle_imports_what_it_downloads(folder, monkeypatch, capsys):
    import kagglehub

    def pretend(handle):
        assert handle == "msambare/fer2013"
        print("noise on standard output")
        return str(folder)

    monkeypatch.setattr(kagglehub, "dataset_download", pretend)
    result = import_source("kaggle:msambare/fer2013")
    assert result.dataset.name == "fer2013"
    assert result.dataset.meta["source"] == "kaggle:msambare/fer2013"
    assert capsys.readouterr().out == ""


def test_kaggle_failures_are_one_sentence_each(monkeypatch):
    import kagglehub
    import requests
    from kagglehub import exceptions

    def answer(status):
        response = requests.Response()
        response.status_code = status
        return exceptions.KaggleApiHTTPError("long\nmessage", response=response)

    cases = [
        (requests.ConnectionError("x"), "cannot be reached"),
        (exceptions.UnauthenticatedError(), "KAGGLE_KEY"),
        (answer(403), "kaggle.json"),
        (answer(404), "no data set"),
        (answer(500), "status 500"),
        (OSError(28, "No space left on device"), "No space left"),
    ]
    for raised, message in cases:

        def fail(handle, raised=raised):
            raise raised

        monkeypatch.setattr(kagglehub, "dataset_download", fail)
        with pytest.raises(UserError, match=message) as error:
            sources_kaggle.download("a/b", lambda fraction, text: None)
        assert "\n" not in str(error.value)


# Does it look like FER-2013, and is it? ------------------------------------------------------------


def lookalike(images, names) -> Collected:
    n = len(images)
    return Collected(images, np.zeros(n, np.uint8), np.zeros(n, np.uint8), names)


def test_a_blurred_copy_of_the_release_is_noticed():
    random = np.random.default_rng(0)
    spread = 0.5077 * 0.4923 / 0.2551**2 - 1  # of the beta distribution with that mean and deviation
    images = random.beta(0.5077 * spread, 0.4923 * spread, (2000, 48, 48))
    images = np.round(255 * images).astype(np.uint8)
    names = [f"train/angry/Training_{n}.jpg" for n in range(len(images))]
    assert release_warnings(lookalike(images, names)) == []
    blurred = np.stack([cv2.GaussianBlur(image, (5, 5), 0) for image in images])
    (warning,) = release_warnings(lookalike(blurred, names))
    assert "0.2551" in warning
    assert release_warnings(lookalike(blurred, [f"train/angry/{n}.jpg" for n in range(len(images))])) == []


def test_demo_is_imported_once(monkeypatch):
    from fer.data import demo
    from fer.data.dataset import save_dataset

    def pretend(progress=None):
        images = np.stack([picture(n) for n in range(7)])
        return save_dataset("Demo faces", images, range(7), [0] * 7, list("abcdefg"), {"source": "demo"})

    monkeypatch.setattr(demo, "demo_dataset", pretend)
    first = import_source("demo", name="mine")
    assert (first.dataset.name, first.existed, first.warnings) == ("mine", False, [])
    again = import_source("Demo")
    assert again.existed
    assert again.dataset.name == "mine"
    assert "'mine'" in again.warnings[0]


# A kill, a full disk --------------------------------------------------------------------------------


KILLS = textwrap.dedent(
    """
    import os, random, signal, sys, time
    from fer.data.sources import import_source
    import cv2, fer.analysis.statistics
    started = time.monotonic()
    import_source(sys.argv[1], name="kept")
    duration = 1.2 * (time.monotonic() - started)
    random.seed(int(sys.argv[3]))
    survived = 0
    for n in range(20):
        child = os.fork()
        if child == 0:
            import_source(sys.argv[2], name="killed")
            os._exit(0)
        time.sleep(random.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    """
)


def test_a_kill_leaves_what_was_there_and_the_import_repeats(tmp_path, cache):
    kept = write_folder(tmp_path / "kept", release_files(12))
    (tmp_path / "killed.zip").write_bytes(zipped(release_files(14)))
    command = [sys.executable, "-c", KILLS, str(kept), str(tmp_path / "killed.zip"), "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(open_dataset("kept")) == 168
    (datasets_directory() / ".staging-left").mkdir()
    result = import_source(tmp_path / "killed.zip", name="killed")
    assert len(result.dataset) == 196
    assert (result.dataset.hashes == pixel_hashes(result.dataset.images)).all()
    entries = {path.name for path in datasets_directory().iterdir()}
    assert entries == {info.fingerprint for info in list_datasets()} | {".lock"}


def test_a_staging_folder_in_use_is_left_alone(folder, tmp_path, cache):
    script = (
        "import sys, time\n"
        "from fer.data.dataset import writing_datasets, datasets_directory\n"
        "with writing_datasets():\n"
        "    (datasets_directory() / '.staging-busy').mkdir()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(1)\n"
        "    print((datasets_directory() / '.staging-busy').exists(), flush=True)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "ready\n"
    import_source(folder)
    assert other.stdout.readline() == "True\n"
    other.stdout.close()
    assert other.wait() == 0


def test_a_full_disk_is_one_sentence_and_changes_nothing(folder, monkeypatch):
    import_source(folder, name="first")
    from fer.data import dataset as module

    def full(path, array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_array", full)
    with pytest.raises(UserError, match="disk is full"):
        import_source(zipped(release_files(2)))
    assert [info.name for info in list_datasets()] == ["first"]
    assert {path.name for path in datasets_directory().iterdir()} == {list_datasets()[0].fingerprint, ".lock"}


def test_real_zip(real_dataset):
    assert len(real_dataset) == 32_298
    assert real_dataset.meta["quarantined"] == []
    assert real_dataset.meta["warnings"] == []
    assert real_dataset.meta["converted"] == 0
    assert len(real_dataset.indices("PublicTest")) == 3589
