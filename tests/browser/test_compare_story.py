"""Three runs chosen, a confusion cell clicked, a face opened, its maps in every model, a report handed in."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from fer import storage
from fer.emotions import EMOTIONS
from fer.evaluation.predictions import evaluate_run
from fer.evaluation.report import run_report
from fer.runs import open_run, record_finished
from tests.browser import driver
from tests.evaluation.builders import tiny_dataset, tiny_run

pytestmark = pytest.mark.browser
NAMES = ("first", "second", "third")


@pytest.fixture
def runs(cache: Path) -> list[Path]:
    """Three networks that differ in their random weights, evaluated on 140 test images."""
    dataset = tiny_dataset("tiny", per_class=20, leaks=5)
    made = []
    for seed, name in enumerate(NAMES):
        folder = tiny_run(cache / "runs" / f"baseline_cnn-{name}", dataset, weights_seed=seed, seed=seed)
        content = json.loads((folder / "config.json").read_text())
        storage.write_json(folder / "config.json", content | {"recipe": "baseline_cnn", "created": 1e9})
        storage.write_json(folder / "status.json", {"state": "created"})
        storage.write_json(folder / "labels.json", {"name": name})
        evaluate_run(folder)
        report = run_report(folder, compute=False)
        record_finished(open_run(folder.name), {"accuracy": report["accuracy"]})
        made.append(folder)
    return made


def click_cell(page: Page, chart: int, true: str, predicted: str) -> None:
    """Click into the middle of a cell of the confusion matrix number `chart`, as a person does."""
    box = page.locator(".js-plotly-plot").nth(chart).locator("g.plot rect, .nsewdrag").first.bounding_box()
    drag = page.locator(".js-plotly-plot").nth(chart).locator(".nsewdrag").first.bounding_box() or box
    assert drag
    x = drag["x"] + drag["width"] * (EMOTIONS.index(predicted) + 0.5) / 7
    y = drag["y"] + drag["height"] * (EMOTIONS.index(true) + 0.5) / 7
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    page.wait_for_timeout(300)
    driver.settle(page)


def fullest_cell(folder: Path) -> tuple[str, str, int]:
    """The mistake that happens most often: true class, predicted class, images."""
    counts = np.array(run_report(folder, compute=False)["confusion"])
    np.fill_diagonal(counts, 0)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    return EMOTIONS[row], EMOTIONS[column], int(counts[row, column])


def test_choose_click_open_explain_export(page: Page, dashboard: str, runs: list[Path], tmp_path: Path):
    query = "&".join(f"runs={name}" for name in NAMES)
    driver.visit(page, f"{dashboard}/compare?{query}&view=Confusion")
    expect(page.locator(".js-plotly-plot")).to_have_count(4)  # three matrices and a difference
    true, predicted, images = fullest_cell(runs[1])
    page.locator(".js-plotly-plot").nth(1).scroll_into_view_if_needed()
    click_cell(page, 1, true, predicted)
    expect(page.get_by_role("combobox", name="Model")).to_have_value("second")
    expect(page.get_by_role("combobox", name="True class")).to_have_value(true)
    expect(page.get_by_role("combobox", name="Predicted")).to_have_value(predicted)
    expect(page.get_by_text(f"{images:,} images, the surest answers first.")).to_be_visible()
    assert re.search(rf"true={true}", page.url), "the cell is in the address"

    page.get_by_test_id("stButtonGroup").filter(has_text="Open a face").get_by_text("1", exact=True).click()
    driver.settle(page)
    said = page.locator('[data-testid="stDataFrame"] canvas td').all_text_contents()
    assert [name for name in NAMES if name in said] == list(NAMES), "every model's answer"
    driver.assert_no_exception(page)

    page.get_by_role("link", name="Where every model looks in this face").click()
    page.wait_for_url(re.compile("/explain"))
    driver.settle(page, 180)
    for name in NAMES:
        expect(page.locator("p strong").filter(has_text=re.compile(f"^{name}$")).first).to_be_visible()
    expect(page.get_by_text(re.compile("Heat on eyes"))).to_have_count(3)
    expect(page.get_by_text(f"true class: {true}")).to_be_visible()
    driver.assert_no_exception(page)

    driver.visit(page, f"{dashboard}/compare?{query}&view=Scores")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).first.click()
    table = pd.read_csv(download.value.path()).set_index("name")
    for folder, name in zip(runs, NAMES, strict=True):
        report = run_report(folder, compute=False)
        for key in ("accuracy", "log_loss", "kappa"):
            assert table.loc[name, key] == pytest.approx(report[key], abs=1e-12), (name, key)
        assert table.loc[name, "accuracy_low"] <= report["accuracy"] <= table.loc[name, "accuracy_high"]

    driver.visit(page, f"{dashboard}/runs?run={NAMES[0]}")
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Model (best.keras)").click()
    assert Path(download.value.path()).read_bytes() == (runs[0] / "best.keras").read_bytes()

    driver.visit(page, f"{dashboard}/compare?{query}&view=Report")
    page.get_by_role("button", name="Make the report").click()
    driver.settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    exported = tmp_path / "report.html"
    download.value.save_as(exported)
    page.goto(exported.as_uri())
    expect(page.locator(".figure .main-svg").first).to_be_visible()
    text = page.locator("body").inner_text()
    for folder, name in zip(runs, NAMES, strict=True):
        report = run_report(folder, compute=False)
        assert name in text
        for key in ("accuracy", "accuracy_without_leaks", "macro_f1", "log_loss", "kappa", "ece"):
            assert f"{report[key]:.4f}" in text, (name, key)
        for row in report["confusion"]:
            assert re.search(r"\s".join(map(str, row)), text), (name, row)
