"""The store: content names a data set, opening is a memory map, names are safe, removal is one step."""

import numpy as np
import pytest

from fer.data.dataset import (
    check_name,
    damaged_datasets,
    datasets_directory,
    delete_dataset,
    list_datasets,
    open_dataset,
    pixel_hashes,
    rename_dataset,
    save_dataset,
)
from fer.errors import UnknownName, UserError


def arrays(n=12, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, 48, 48), dtype=np.uint8)
    names = [f"train/angry/{i}.jpg" for i in range(n)]
    return images, np.arange(n) % 7, np.arange(n) % 3, names


def test_round_trip():
    images, labels, splits, names = arrays()
    usage = ["PublicTest"] * 6 + ["PrivateTest"] * 6
    saved = save_dataset("one", images, labels, splits, names, {"source": "here", "usage": usage})
    opened = open_dataset("one")
    assert isinstance(opened.images, np.memmap)
    assert not opened.images.flags.writeable
    np.testing.assert_array_equal(opened.images, images)
    np.testing.assert_array_equal(opened.labels, labels)
    assert opened.names == names
    assert list(opened.indices("PrivateTest")) == list(range(6, 12))
    assert opened.fingerprint == saved.fingerprint
    assert open_dataset(saved.fingerprint[:6]).name == "one"
    assert sum(opened.counts()["validation"].values()) == 4


def test_fingerprint_follows_content():
    images, labels, splits, names = arrays()
    base = save_dataset("a", images, labels, splits, names).fingerprint
    assert save_dataset("b", images, labels, splits, names).fingerprint == base
    assert [info.name for info in list_datasets()] == ["a"]
    other = images.copy()
    other[0, 0, 0] ^= 1
    variants = [
        (other, labels, splits, names, {}),
        (images, (labels + 1) % 7, splits, names, {}),
        (images, labels, (splits + 1) % 3, names, {}),
        (images, labels, splits, [*names[:-1], "x"], {}),
        (images, labels, splits, names, {"usage": ["PublicTest"] * 12}),
    ]
    found = {save_dataset("a", *variant).fingerprint for variant in variants}
    assert len(found | {base}) == 6
    assert sorted(info.name for info in list_datasets()) == ["a", "a-2", "a-3", "a-4", "a-5", "a-6"]


def test_what_has_an_entry_per_image_stays_out_of_the_list():
    images, labels, splits, names = arrays(700)
    factors = {
        "watermark": [bool(i % 2) for i in range(700)],
        "noise": [0.25] * 700,
        "usage": ["x" * 20] * 700,
    }
    quarantined = [{"where": f"row {i}", "reason": "too short"} for i in range(900)]
    save_dataset("big", images, labels, splits, names, {"factors": factors, "quarantined": quarantined})
    (info,) = list_datasets()
    assert info.quarantined == 900
    assert "factors" not in info.meta
    assert open_dataset("big").meta["factors"] == factors
    assert open_dataset("big").meta["quarantined"] == quarantined
    rename_dataset("big", "bigger")
    assert open_dataset("bigger").meta["factors"] == factors


def test_rename_and_delete():
    save_dataset("one", *arrays())
    save_dataset("two", *arrays(seed=1))
    with pytest.raises(UserError, match="already called 'two'"):
        rename_dataset("one", "two")
    rename_dataset("one", "uno")
    kept = open_dataset("two")
    kept.derived("x").mkdir(parents=True)
    delete_dataset("uno")
    with pytest.raises(UnknownName, match="two"):
        open_dataset("uno")
    delete_dataset("two")
    assert not kept.derived("x").exists()
    assert [path.name for path in datasets_directory().iterdir()] == [".lock"]


def test_who_opens_a_data_set_in_use_gets_the_same_one_until_it_changes():
    """Forty open comparisons kept forty lists of its names before."""
    made = save_dataset("one", *arrays())
    assert open_dataset("one") is made
    assert open_dataset(made.fingerprint) is made
    rename_dataset("one", "uno")
    renamed = open_dataset("uno")
    assert (renamed.name, made.name) == ("uno", "one")
    with pytest.raises(ValueError, match="read-only"):
        made.labels[0] = 1
    (made.directory / "labels.npy").write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged"):
        open_dataset("uno")


@pytest.mark.parametrize(
    "name",
    ["", " a", "a/b", "../x", "a\0", "<img>", "=cmd()", "con", "COM1.zip", "x" * 61, "a.", "a\n", "-a", None],
)
def test_names_that_are_refused(name):
    with pytest.raises(UserError, match="cannot be used"):
        check_name(name)


@pytest.mark.parametrize("name", ["FER-2013", "a b.c_d-e", "x" * 60, "console"])
def test_names_that_are_allowed(name):
    assert check_name(name) == name


@pytest.mark.parametrize("key", ["../../etc", "", "a" * 300, "\0", "zzzzzz"])
def test_unknown_keys_never_become_paths(key):
    save_dataset("one", *arrays())
    with pytest.raises(UnknownName, match="Choose from: one"):
        open_dataset(key)


def test_one_damaged_data_set_does_not_hide_the_others():
    save_dataset("good", *arrays())
    broken = save_dataset("broken", *arrays(seed=1))
    (broken.directory / "labels.npy").write_bytes(b"torn")
    with pytest.raises(UserError, match="'broken' is damaged"):
        open_dataset("broken")
    (broken.directory / "meta.json").write_text('{"format"')
    newer = datasets_directory() / ("f" * 16)
    newer.mkdir()
    (newer / "meta.json").write_text('{"format": 99, "name": "newer"}')
    assert [info.name for info in list_datasets()] == ["good"]
    assert sorted(damaged_datasets()) == sorted([broken.directory, newer])
    assert len(open_dataset("good")) == 12
    again = save_dataset("mended", *arrays(seed=1))
    assert again.fingerprint == broken.fingerprint
    assert damaged_datasets() == [newer]


def test_arrays_that_do_not_fit():
    images, labels, splits, names = arrays()
    for bad in (
        (images[:0], labels[:0], splits[:0], []),
        (images[:, :40], labels, splits, names),
        (images, labels, splits[:-1], names),
        (images, labels, splits, ["same"] * 12),
        (images, labels + 7, splits, names),
        (images, labels, splits + 3, names),
    ):
        with pytest.raises(UserError):
            save_dataset("bad", *bad)
    assert not list_datasets()


def test_hashes_tell_one_pixel():
    images = arrays()[0]
    other = images.copy()
    other[3, 47, 47] ^= 1
    same = pixel_hashes(images) == pixel_hashes(other)
    assert list(np.flatnonzero(~same)) == [3]
