"""Settings in a real browser: what was typed last and a phase edited in the table reach the run."""

import pytest
from playwright.sync_api import Locator, Page, expect

from fer.runs import list_runs, pause
from tests.browser import driver
from tests.runs.runkit import until

pytestmark = pytest.mark.browser
ROW = 35  # pixels of a table's line, its header's too


@pytest.mark.usefixtures("demo_dataset")
def test_start_pressed_right_after_typing_takes_what_was_typed(page: Page, dashboard: str):
    pause()  # nothing is trained here
    driver.visit(page, f"{dashboard}/train?recipe=cnn4")
    page.get_by_text("Phases and optimizer").click()
    driver.settle(page)
    editor = edit_cell(page, x=190, y=2.5 * ROW)  # epochs of the second phase
    editor.fill("7")
    editor.press("Enter")
    expect(page.get_by_text("3 phases, 97 epochs")).to_be_visible(timeout=30_000)
    # The field is left by pressing the button: both ask for the page to be drawn.
    for number, batch in enumerate((41, 42), 1):
        page.get_by_role("spinbutton", name="Batch size").fill(str(batch))
        page.get_by_role("button", name="Start training").click()
        # Not by the message, which may be the first round's.
        until(lambda number=number: len(list_runs()) == number, 30, "the run")
        driver.settle(page)
    configs = [run.train_config() for run in list_runs()]
    assert [config.batch_size for config in configs] == [42, 41]
    assert [phase.epochs for phase in configs[0].phases] == [30, 7, 60]
    driver.assert_no_exception(page)


def edit_cell(page: Page, x: float, y: float) -> Locator:
    """The field over a cell of the table, opened by a double click; the canvas has no elements to name."""
    table = page.locator('[data-testid="stDataFrame"] canvas').first
    editor = page.locator("#portal input")
    for _ in range(5):  # while the section opens, the table moves under the pointer
        table.scroll_into_view_if_needed()
        box = table.bounding_box() or {}
        page.mouse.dblclick(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(1000)
        if editor.count():
            break
    expect(editor).to_be_visible()
    return editor
