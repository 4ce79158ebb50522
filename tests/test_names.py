"""Names somebody chose to hurt: refused where a name is given, inert where one came in anyway."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from dashboard import panels
from dashboard.gallery import gallery_html
from fer.augmentation.config import AugmentationConfig
from fer.augmentation.presets import save_preset
from fer.cells import inert
from fer.data.dataset import check_name, open_dataset, rename_dataset, save_dataset
from fer.data.selection import create_selection
from fer.data.selection_csv import export_csv
from fer.errors import UserError
from fer.evaluation.report_export import Table
from fer.runs import create_run, open_run, rename

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "../x",
    "a/b",
    "a\\b",
    "nul\0byte",
    "x" * 300,
    "=cmd()",
    "+1",
    "@SUM(A1)",
    "con",
    "COM1.txt",
    "..",
    "",
    " ",
    "a\nb",
    "ends.",
    "[link](javascript:alert(1))",
    "‮fdp.exe",
)


def dataset(names=None):
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    return save_dataset("faces", images, np.arange(3), np.zeros(3), names or list("abc"))


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:20]))
def test_every_door_refuses_the_name_in_one_sentence(name):
    opened = dataset()
    run = create_run({"epochs": 1}, kind="estimate")
    doors = {
        "check": lambda: check_name(name),
        "data set": lambda: rename_dataset(opened.fingerprint, name),
        "selection": lambda: create_selection(opened, name),
        "preset": lambda: save_preset(name, AugmentationConfig()),
        "run": lambda: create_run({"epochs": 1}, kind="estimate", name=name),
        "rename": lambda: rename(run, name),
    }
    for door, give in doors.items():
        with pytest.raises(UserError) as refused:
            give()
        assert len(str(refused.value)) < 400, door
        assert "\n" not in str(refused.value), door
    assert open_run(run.id).name == run.id
    assert open_dataset(opened.fingerprint).name == "faces"


@pytest.mark.parametrize(
    "key", ["../../etc", "..", ".", "/etc/passwd", "a\0b", "x" * 300, "<img>", "%2e%2e", "runs/../x"]
)
def test_a_run_or_data_set_asked_for_by_a_path_is_unknown(key):
    dataset()
    create_run({"epochs": 1}, kind="estimate")
    for open_it in (open_run, open_dataset):
        with pytest.raises(UserError, match="Unknown"):
            open_it(key)


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1+1", "@x", "\t=1", "\r=1"])
def test_no_cell_of_an_export_starts_a_formula(text):
    """OWASP's list, in a table's CSV and in that of a selection."""
    table = panels.csv_bytes(pd.DataFrame({"name": [text, "fine"], "n": [-1.5, 2]})).decode()
    rows = list(csv.reader(io.StringIO(table, newline="")))
    assert rows[1][0] == f"'{text}".replace("\r", " ")
    assert rows[1][1] == "-1.5"
    report = Table("scores", "Scores", ("run", text), [[text, -1.5]]).to_csv()  # also inside the HTML report
    assert list(csv.reader(io.StringIO(report, newline="")))[1] == [rows[1][0], "-1.5"]
    assert [inert(number) for number in ("-1", "-0.0083")] == ["-1", "-0.0083"]
    assert inert(["fine", text]) == ["fine", rows[1][0]]  # the tags of a run
    opened = dataset([text, "b", "c"])
    exported = export_csv(opened, create_selection(opened, "mine"))
    cells = [cell for row in csv.reader(io.StringIO(exported, newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]


def test_texts_on_pages_are_shown_as_they_are():
    hostile = '"><img src=x onerror=alert(1)><script>x</script>'
    html = gallery_html(np.zeros((1, 48, 48), np.uint8), [hostile], [hostile])
    assert "<img" not in html
    assert "<script" not in html
    assert 'title="&quot;&gt;' in html
    shown = panels.plain("<img> [a](b) **c** $x$ :red[d] `e`")
    for mark in ("<img", "[a", "](", "**", "$x", ":red", "`e"):
        assert mark not in shown.replace("\\" + mark[0], "")
