"""The map of images: the point under the pointer shows its face, without a run of the page."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from fer.analysis.embedding import compute_embedding
from fer.emotions import EMOTIONS
from tests.browser import driver

pytestmark = pytest.mark.browser
POINT = """(image) => {
  const chart = document.querySelector('.st-key-map .js-plotly-plot');
  const { xaxis, yaxis } = chart._fullLayout;
  const box = chart.getBoundingClientRect();
  for (const trace of chart._fullData) {
    const place = Array.from(trace.customdata).findIndex((row) => row[0] === image);
    if (place >= 0) return [
      box.left + xaxis._offset + xaxis.d2p(Array.from(trace.x)[place]),
      box.top + yaxis._offset + yaxis.d2p(Array.from(trace.y)[place]),
    ];
  }
}"""
PIXELS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return Array.from(data).filter((_, n) => n % 4 === 0);
}"""


def test_hovering_shows_the_face(page: Page, demo_dataset, dashboard: str):
    found = compute_embedding(demo_dataset, limit=60)
    assert found is not None
    page.set_viewport_size(
        {"width": 1440, "height": 1500}
    )  # the whole chart: the pointer cannot leave the window
    driver.visit(page, f"{dashboard}/explore?look=Map")
    driver.assert_no_exception(page)
    page.locator(".st-key-map .js-plotly-plot[data-faces=ready]").wait_for()
    spread = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    loneliest = np.argsort(-np.sort(spread, axis=1)[:, 1])[:3]  # no other point lies above these
    for place in loneliest:
        image = int(found.indices[place])
        x, y = page.evaluate(POINT, image)
        page.mouse.move(x - 3, y - 3)
        page.mouse.move(x, y, steps=3)
        tip = page.locator(f"figure.tip[data-index='{image}']")
        expect(tip).to_be_visible()
        expect(tip).to_contain_text(EMOTIONS[demo_dataset.labels[image]])
        shown = np.array(tip.locator("canvas").evaluate(PIXELS)).reshape(48, 48)
        difference = np.abs(shown - demo_dataset.images[image].astype(int)).mean()
        assert difference < 6, difference  # a JPEG of it; another face is some 50 grey levels away
    page.mouse.move(5, 5)
    expect(page.locator("figure.tip")).to_be_hidden()
