"""A link to a page that was seen before: what it names is shown, and what was chosen stays."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import driver

pytestmark = pytest.mark.browser


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a box by typing its name."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.fill(option)
    page.get_by_role("option", name=option, exact=True).click()
    driver.settle(page)


def arrive(page: Page, link: str, at: str) -> None:
    """Follow a link of the page."""
    page.get_by_role("link", name=link).first.click()
    page.wait_for_url(f"**/{at}*")
    page.get_by_role("heading", level=1).first.wait_for()
    driver.settle(page)


@pytest.mark.usefixtures("demo_dataset")
def test_link_wins_over_what_the_session_remembers(page: Page, dashboard: str):
    """Also for the first recipe, which Streamlit takes for no choice, and for boxes shared by two pages."""
    driver.visit(page, f"{dashboard}/train?recipe=cnn4")
    expect(page.get_by_role("combobox", name="Recipe")).to_have_value("cnn4")
    for recipe in ("baseline_cnn", "vit_patch8"):
        before = page.get_by_role("combobox", name="Recipe").input_value()
        arrive(page, "Recipes", at="recipes")
        expect(page.get_by_role("combobox", name="Open a recipe")).to_have_value(before)
        choose(page, "Open a recipe", recipe)
        page.get_by_role("button", name="Train it as a clone").click()
        page.wait_for_url("**/train*")
        page.get_by_role("heading", level=1, name="Train").wait_for()
        driver.settle(page)
        expect(page.get_by_role("combobox", name="Recipe")).to_have_value(recipe)
    assert page.url.count("recipe=") == 1, page.url
    driver.assert_no_exception(page)
