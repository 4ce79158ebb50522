"""The exported report: the same numbers, nothing loaded from outside, tables that other programs read."""

import base64
import csv
import io
import json
import re
from html import unescape

import pytest

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.report import run_report
from fer.evaluation.report_export import Table, report_content
from fer.evaluation.report_html import export_report, html_report
from tests.evaluation.builders import tiny_dataset
from tests.evaluation.test_comparison import stored


@pytest.fixture
def runs(tmp_path):
    dataset = tiny_dataset(per_class=20)
    return [stored(tmp_path / f"run_{n}", dataset, n) for n in range(3)]


def test_the_file_holds_the_numbers_of_the_reports(runs, tmp_path):
    path = export_report(runs, tmp_path / "out" / "report.html")
    page = path.read_text()
    for run in runs:
        report = run_report(run)
        assert f"{report['accuracy']:.4f}" in page
        assert f"{report['log_loss']:.4f}" in page
    links = re.findall(r'download="([^"]+)\.csv" href="data:text/csv;base64,([^"]+)"', page)
    tables = {name: list(csv.reader(io.StringIO(base64.b64decode(data).decode()))) for name, data in links}
    scores = {row[0]: row[1:] for row in tables["scores"]}
    assert [float(cell) for cell in scores["Accuracy"]] == [run_report(run)["accuracy"] for run in runs]
    confusion = run_report(runs[1])["confusion"]
    assert [[int(n) for n in row[1:]] for row in tables["confusion-run_1"][1:]] == confusion
    assert [row[0] for row in tables["confusion-run_1"][1:]] == list(EMOTIONS)


def test_the_file_stands_alone_and_its_figures_are_interactive(runs, tmp_path):
    page = export_report(runs[:2], tmp_path / "report.html").read_text()
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', outside)
    assert "Plotly.newPlot('figure-0'" in page
    assert page.count("Plotly.newPlot('figure-") == 6  # 2 confusions, F1, 2 curves, reliability
    figure = json.loads(re.search(r"var f=(\{.*?\});Plotly.newPlot\('figure-0'", page).group(1))
    assert figure["data"][0]["text"] == run_report(runs[0])["confusion"]


def test_verdicts_protocol_seeds_and_commands_are_in_it(runs, tmp_path):
    text = unescape(html_report(report_content(runs)))
    assert "not distinguishable on 140 images" in text
    assert "highest val_accuracy on the validation split" in text
    assert "3 runs differ only in their seed" in text
    assert "python -m fer train baseline_cnn --dataset" in text
    assert "--set seed=2" in text


def test_runs_that_cannot_be_aligned_still_have_a_report(runs, tmp_path):
    other = stored(tmp_path / "other", tiny_dataset("other", seed=5), 7)
    content = report_content([runs[0], other])
    assert "2 different data sets" in content.problem
    assert "2 different data sets" in html_report(content)
    with pytest.raises(UserError, match="at least one run"):
        report_content([])


def test_names_cannot_break_out_of_the_page(runs):
    class Named:
        directory, name = runs[0], "</script><img src=x onerror=alert(1)>"

    page = html_report(report_content([Named()]))
    assert "<img src=x" not in page
    assert "</script><img" not in page


def test_figures_of_the_dashboard_are_taken_as_they_are(runs):
    import plotly.graph_objects as go

    page = html_report(report_content(runs[:1]), [("My figure", go.Figure(go.Bar(y=[1, 2])))])
    assert "<h3>My figure</h3>" in page
    assert page.count("Plotly.newPlot('figure-") == 1


def test_tables_as_csv_and_latex():
    table = Table("t", "50 % of a_b", ("name", "value"), [["x_1 & y", 0.123456789], ["none", None]])
    assert table.to_csv() == "name,value\nx_1 & y,0.123456789\nnone,\n"
    latex = table.to_latex()
    assert r"x\_1 \& y & 0.1235 \\" in latex
    assert r"\caption{50 \% of a\_b}" in latex
    assert r"none & -- \\" in latex
    assert latex.count(r"\begin") == latex.count(r"\end") == 2
