"""Names somebody chose to hurt, on every page of the running dashboard: shown as text, and nothing runs.

Those that the program would refuse are written into the cache by hand, as a copied cache would bring them.
"""

import csv
import io
import os
import shutil
from pathlib import Path
from urllib.parse import urlencode

import cv2
import pytest
from playwright.sync_api import Page

from dashboard import state
from dashboard.navigation import PAGES
from fer import storage
from fer.analysis.attributes import import_attributes
from fer.augmentation.config import AugmentationConfig
from fer.augmentation.presets import save_preset
from fer.data.dataset import Dataset, open_dataset
from fer.data.demo import draw_photo
from fer.data.selection import mark
from fer.data.sources import import_source
from fer.evaluation.predictions import evaluate_run
from fer.evaluation.report import run_report
from fer.runs import open_run, record_finished
from tests.browser import driver
from tests.data.sourcekit import release_files, zipped
from tests.evaluation.builders import tiny_run

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=window.hostile=1>"
LINK = "[a](javascript:window.hostile=2) **b** $x$"
FORMULA = '=cmd()"><svg onload=window.hostile=3>'
FILES = (IMAGE, LINK, FORMULA, "x" * 300, "con", "{{7*7}} %{x} <b>b")
PATHS = ("../../etc/passwd", IMAGE, "nul\0byte", "x" * 300, "=cmd()", "con")
# Whether anything has run, and the elements that names became: what would act, and what is only marked up.
FOUND = """() => [window.hostile ?? null, [
    ...document.querySelectorAll('img[src="x"], [onerror], [onload], a[href^="javascript" i]'),
    ...[...document.querySelectorAll('a, strong, .katex')].filter((e) => /^[abx]$/.test(e.innerText)),
  ].map((e) => e.parentElement.innerHTML.slice(0, 200))]"""
VIEWS = {
    "data": [{state.DATA_VIEW: view} for view in ("Imported", "Disk")],
    "explore": [{state.EXPLORE_VIEW: view} for view in ("Samples", "Quality")],
    "compare": [{state.VIEW: view} for view in ("Scores", "Confusion", "Errors", "Curves", "Ensemble")]
    + [{state.VIEW: "Subgroups", state.GROUPED_BY: "worn"}],
}


def hostile_dataset() -> Dataset:
    """Faces whose files, then the set itself, its selection and a preset have such names."""
    files = release_files(3)
    odd = dict(zip(list(files)[:: len(files) // len(FILES)], FILES, strict=False))
    named = {}
    for path, content in files.items():
        folder = path.rsplit("/", 1)[0]
        named[f"{folder}/{odd[path]}.jpg" if path in odd else path] = content
    named |= {f"train/sad/broken {name}.jpg": b"x" for name in FILES}
    dataset = import_source(zipped(named), name="faces").dataset
    mark(dataset, "mine", [0], "drop", reason=IMAGE)
    groups = (f'"{dataset.names[n]}","{(IMAGE, LINK)[n % 2]}"' for n in dataset.indices("test"))
    import_attributes(dataset, "\n".join(["image,worn", *groups]))
    selections = storage.cache_directory() / "selections" / dataset.fingerprint
    os.rename(selections / "mine", selections / IMAGE)
    save_preset("mine", AugmentationConfig(rotation=5))
    presets = storage.cache_directory() / "presets"
    os.rename(presets / "mine.json", presets / f"{IMAGE}.json")
    meta = dataset.directory / "meta.json"
    storage.write_json(meta, storage.read_json(meta) | {"name": IMAGE})
    return open_dataset(dataset.fingerprint)


def hostile_run(cache: Path, dataset: Dataset) -> Path:
    """An evaluated run with such a name, tags, note, selection, recipe and reason of its end."""
    folder = tiny_run(cache / "runs" / "baseline_cnn-0", dataset, selection=f"{IMAGE}@1")
    content = storage.read_json(folder / "config.json")
    storage.write_json(folder / "config.json", content | {"recipe": IMAGE, "created": 1e9})
    storage.write_json(folder / "status.json", {"state": "created"})
    name_it(folder, IMAGE)
    (folder / "train.log").write_text(f"{IMAGE}\n{LINK}\n\0\x1b[31m\n")
    evaluate_run(folder)
    record_finished(open_run(folder.name), {"accuracy": run_report(folder, compute=False)["accuracy"]})
    record = storage.read_json(folder / "status.json")
    storage.write_json(folder / "status.json", record | {"reason": IMAGE, "remedy": LINK})
    return folder


def name_it(folder: Path, name: str) -> None:
    labels = {"name": name, "tags": [IMAGE, LINK], "note": f"{IMAGE}\n{LINK}"}
    storage.write_json(folder / "labels.json", labels)


@pytest.fixture
def hostile(cache: Path) -> Dataset:
    dataset = hostile_dataset()
    first = hostile_run(cache, dataset)
    name_it(Path(shutil.copytree(first, first.with_name("baseline_cnn-1"))), LINK)
    return dataset


class Watch:
    """Everything a page does that it should not."""

    def __init__(self, page: Page, address: str):
        self.page, self.address = page, address
        self.seen: list[str] = []
        page.on("dialog", lambda dialog: (self.seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.seen.append(f"error {error}"))
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("request", lambda sent: self._asked(sent.url))
        page.on("response", lambda got: self._got(got.status, got.url))

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text:  # those are seen below
            self.seen.append(f"console {text}")

    def _asked(self, url: str) -> None:
        if url.startswith("http") and (not url.startswith(self.address) or url.endswith("/x")):
            self.seen.append(f"asked for {url}")

    def _got(self, status: int, url: str) -> None:
        if status >= 400 and "/_stcore/" not in url:  # below a page Streamlit first asks beside it
            self.seen.append(f"{status} {url}")

    def look(self, title: str = "") -> list[str]:
        """What is wrong with the page that is shown now."""
        found, self.seen = self.seen, []
        ran, elements = self.page.evaluate(FOUND)
        found += [f"script {ran} ran"] * bool(ran) + [f"a name became {element}" for element in elements]
        found += self.page.locator('[data-testid="stException"]').all_inner_texts()
        titles = self.page.locator("h1").all_inner_texts()
        found += [] if not title or titles == [title] else [f"titles {titles}"]
        return [f"{self.page.url[:80]} {text}" for text in found]


def test_no_name_does_anything_on_any_page(page: Page, hostile: Dataset, dashboard: str, tmp_path: Path):
    watch = Watch(page, dashboard)
    ours = {state.DATASET: IMAGE, state.RUN: IMAGE, state.RUNS: [IMAGE, LINK], state.PRESET: IMAGE}
    ours |= {state.SELECTION: IMAGE, state.TAGS: IMAGE}
    theirs = {key: PATHS for key in vars(state).values() if isinstance(key, str) and key.isalpha()}
    wrong = []
    for spec in PAGES:
        for query in (*({**ours, **view} for view in VIEWS.get(spec.name, [{}])), theirs):
            address = "" if spec.name == "home" else spec.name
            driver.visit(page, f"{dashboard}/{address}?{urlencode(query, doseq=True)}")
            wrong += watch.look(spec.title if spec.name != "home" else "")
            if spec.name == "compare" and query is not theirs:
                assert IMAGE in page.locator('[data-testid="stMultiSelect"]').first.inner_text()
    upload(page, dashboard)
    wrong += watch.look("Predict")
    page.goto(report(page, dashboard, tmp_path).as_uri())
    page.wait_for_timeout(500)
    wrong += watch.look()
    assert IMAGE in page.locator("body").inner_text()
    assert not wrong, "\n".join(wrong)


def upload(page: Page, dashboard: str) -> None:
    """Photos and no photos with such names, and a zip of them, on the Predict page."""
    query = urlencode({state.RUNS: IMAGE, state.PREDICT_VIEW: "Many photos"})
    driver.visit(page, f"{dashboard}/predict?{query}")
    photo = cv2.imencode(".png", draw_photo(1, width=300, height=300)[0])[1].tobytes()
    names = [name.replace("/", "_") for name in FILES[:3]]
    sent = {f"{name}.png": photo for name in names} | {f"broken {name}.png": b"x" for name in names}
    sent["names.zip"] = zipped(
        {f"{name}.png": content for name, content in zip(FILES, [photo, b"x"] * 3, strict=True)}
    )
    page.locator('input[type="file"]').first.set_input_files(
        [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in sent.items()]
    )
    driver.settle(page)
    page.get_by_text("Why there is no face").click()
    driver.settle(page)
    reasons = page.locator("details", has_text="Why there is no face")
    assert reasons.inner_text().count("<img src=x") == 1


def report(page: Page, dashboard: str, folder: Path) -> Path:
    """The report of both runs as one file, as the page makes it."""
    query = urlencode({state.VIEW: "Report", state.RUNS: [IMAGE, LINK]}, doseq=True)
    driver.visit(page, f"{dashboard}/compare?{query}")
    page.get_by_role("button", name="Make the report").click()
    driver.settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    download.value.save_as(folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("theirs", ["=cmd()", "@x"])
def test_what_the_toolbar_of_a_table_saves_starts_no_formula(
    page: Page, cache: Path, dashboard: str, theirs: str
):
    """Streamlit's own "Download as CSV" writes, in the browser, the cells that were sent to be shown."""
    folder = cache / "runs" / "baseline_cnn-0"
    storage.write_json(folder / "config.json", {"format": 1, "kind": "train", "recipe": theirs, "config": {}})
    storage.write_json(folder / "labels.json", {"name": theirs, "tags": [theirs], "note": ""})
    # Chromium would ask where to save; Streamlit then makes an ordinary download.
    page.add_init_script("window.showSaveFilePicker = () => { throw new Error('not here') }")
    driver.visit(page, f"{dashboard}/runs")
    page.locator('[data-testid="stDataFrame"]').first.hover()
    with page.expect_download() as download:
        # Not `click`: the toolbar hides again when the table is painted anew under the pointer.
        page.get_by_role("button", name="Download as CSV").first.dispatch_event("click")
    saved = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert saved.count(f"'{theirs}") == 3  # run, recipe and tag
    cells = [cell for row in csv.reader(io.StringIO(saved, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
