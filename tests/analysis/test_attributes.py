"""Attributes: quarters of measures, tables of a user, and nothing kept of a table with a mistake."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer import storage
from fer.analysis import attributes
from fer.analysis.attributes import (
    delete_attribute,
    import_attributes,
    imported_attributes,
    list_attributes,
    open_attribute,
)
from fer.analysis.quality import MEASURES, quality
from fer.errors import UnknownName, UserError
from tests.evaluation.builders import tiny_dataset


@pytest.fixture
def dataset():
    return tiny_dataset(per_class=4, parts=True)


def file_of(dataset, name):
    return storage.cache_directory() / "attributes" / dataset.fingerprint / f"{name}.json"


def test_measured_attributes_are_quarters_in_ascending_order(dataset):
    assert list_attributes(dataset) == list(MEASURES)
    found = open_attribute(dataset, "brightness")
    values = quality(dataset)["brightness"]
    assert np.bincount(found.codes).tolist() == [14, 14, 14, 14]
    for code in range(3):
        assert values[found.codes == code].max() <= values[found.codes == code + 1].min()
    low, high = values.min(), np.quantile(values, 0.25)
    assert found.groups[0] == f"lowest quarter ({low:,.0f} to {high:,.0f})"


def test_images_that_are_all_alike_are_one_quarter(dataset, monkeypatch):
    monkeypatch.setattr(attributes, "quality", lambda dataset: {"noise": np.zeros(len(dataset))})
    assert set(open_attribute(dataset, "noise").codes) == {0}


def test_a_table_becomes_attributes_by_whole_or_short_name(dataset):
    short = dataset.names[3].rsplit("/", 1)[-1]
    text = (
        f"image,Age,glasses\n{dataset.names[0]},20–29,yes\n{short}, 0–19 ,\n\n{dataset.names[5]},20–29,no\n"
    )
    assert import_attributes(dataset, "\ufeff" + text) == ["age", "glasses"]
    assert list_attributes(dataset) == [*MEASURES, "age", "glasses"]
    age, glasses = (open_attribute(dataset, name) for name in ("age", "glasses"))
    assert age.groups == ("0–19", "20–29")
    assert {n: int(age.codes[n]) for n in np.flatnonzero(age.codes >= 0)} == {0: 1, 3: 0, 5: 1}
    assert {glasses.groups[glasses.codes[n]] for n in np.flatnonzero(glasses.codes >= 0)} == {"yes", "no"}
    assert glasses.codes[3] == attributes.UNKNOWN
    delete_attribute(dataset, "age")
    assert imported_attributes(dataset) == ["glasses"]
    with pytest.raises(UnknownName, match="imported attribute 'brightness'"):
        delete_attribute(dataset, "brightness")


def test_a_short_name_of_two_images_names_neither(dataset):
    names = list(dataset.names)
    names[1] = names[1].replace(names[1].rsplit("/", 1)[-1], names[0].rsplit("/", 1)[-1])
    twice = type(dataset)(**(vars(dataset) | {"names": names}))
    with pytest.raises(UserError, match="has no image"):
        import_attributes(twice, f"image,a\n{names[0].rsplit('/', 1)[-1]},x\n")
    assert import_attributes(twice, f"image,a\n{names[0]},x\n{names[1]},y\n") == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column image"),
        ("image,\nNAME\n", "no column beside image"),
        ("image,a\n", "names no image"),
        ("image,a\nnone.jpg,x\n", "Line 2 of the CSV: 'tiny' has no image 'none.jpg'"),
        ("image,noise\nNAME,x\n", "noise is measured"),
        ("image,../a\nNAME,x\n", "cannot be used"),
        ("image,a,b\nNAME,x,\n", "column b of the CSV is empty"),
        ("image,a\nNAME,x\nNAME,y\n", "Line 3 of the CSV: .* is 'y' here and 'x' above"),
        (f"image,a\nNAME,{'x' * 61}\n", "Line 2 of the CSV: a is 'xxx.*61 characters"),
        ("image,a\nNAME,\x1b[31m\n", "printable"),
        (f"image,{','.join(f'a{n}' for n in range(25))}\nNAME,x\n", "the CSV 25; at most 24"),
        ("image,Age,age\nNAME,x,\n", "column 'age' twice"),
        ("image" + 100 * "," + "\nNAME\n", "101 columns; at most 100"),
        (b"image,a\n\xff\xfe", "UTF-8"),
    ],
)
def test_mistakes_are_named_and_nothing_is_kept(dataset, text, message):
    content = text if isinstance(text, bytes) else text.replace("NAME", dataset.names[0])
    with pytest.raises(UserError, match=message):
        import_attributes(dataset, content)
    assert imported_attributes(dataset) == []


def test_a_column_of_numbers_is_refused_with_the_remedy(dataset):
    rows = "".join(f"{name},{n}\n" for n, name in enumerate(dataset.names[:25]))
    with pytest.raises(UserError, match=r"age has 25 different values, such as '0' and '1'.*as ranges"):
        import_attributes(dataset, "image,age\n" + rows)


def test_an_attribute_is_not_overwritten(dataset):
    import_attributes(dataset, f"image,a\n{dataset.names[0]},x\n")
    with pytest.raises(UserError, match="has an attribute 'a' already; remove that first"):
        import_attributes(dataset, f"image,a\n{dataset.names[0]},y\n")
    assert open_attribute(dataset, "a").groups == ("x",)


def test_two_imports_of_one_name_at_once_keep_the_first(dataset, monkeypatch):
    """The second has looked what there is before the first has written."""
    rows = f"image,a\n{dataset.names[0]},"
    looked = attributes._check_new

    def meanwhile(of, names):
        looked(of, names)
        monkeypatch.setattr(attributes, "_check_new", looked)
        import_attributes(dataset, rows + "first\n")

    monkeypatch.setattr(attributes, "_check_new", meanwhile)
    with pytest.raises(UserError, match="has an attribute 'a' already"):
        import_attributes(dataset, rows + "second\n")
    assert open_attribute(dataset, "a").groups == ("first",)


def test_an_attribute_that_goes_while_it_is_opened_is_unknown(dataset, monkeypatch):
    monkeypatch.setattr(attributes, "imported_attributes", lambda dataset: ["gone"])
    with pytest.raises(UnknownName, match="'gone'"):
        open_attribute(dataset, "gone")


def test_a_disk_that_is_full_at_the_second_file_keeps_neither(dataset, monkeypatch):
    write = storage.write_json

    def full(path, content):
        if path.stem == "b":
            raise storage.disk_error(OSError(28, "No space left on device"), path)
        write(path, content)

    monkeypatch.setattr(storage, "write_json", full)
    with pytest.raises(Exception, match="disk"):
        import_attributes(dataset, f"image,a,b\n{dataset.names[0]},x,y\n")
    assert imported_attributes(dataset) == []


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"format": 2}', '{"format": 1, "groups": ["x"], "codes": [0]}',
     '{"format": 1, "groups": ["x"], "codes": [CODES, 1]}', '{"format": 1, "groups": 3, "codes": [CODES, 0]}',
     '{"format": 1, "groups": ["x"], "codes": [CODES, 99999999]}'],
)  # fmt: skip
def test_a_damaged_file_is_said(dataset, content):
    import_attributes(dataset, f"image,a\n{dataset.names[0]},x\n")
    codes = ", ".join(["0"] * (len(dataset) - 1))
    file_of(dataset, "a").write_text(content.replace("CODES", codes))
    with pytest.raises(UserError, match="damaged"):
        open_attribute(dataset, "a")
    assert imported_attributes(dataset) == ["a"]
    delete_attribute(dataset, "a")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_table_is_imported_or_one_sentence(dataset, rest):
    head = f"image,a\n{dataset.names[0]},"
    content = head.encode() + rest if isinstance(rest, bytes) else head + rest
    try:
        made, sentence = import_attributes(dataset, content), ""
    except UserError as error:
        made, sentence = [], str(error)
    assert "\n" not in sentence
    assert imported_attributes(dataset) == made
    for name in made:
        open_attribute(dataset, name)
        delete_attribute(dataset, name)
