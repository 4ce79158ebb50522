"""Every page runs without an exception: with data and a trained run, with data alone, and with nothing."""

import pytest

from dashboard.navigation import PAGES
from tests.pages.conftest import open_page

NAMES = [spec.name for spec in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_runs_with_a_trained_model(name, cache_with_run):
    page = open_page(name)
    assert not page.exception
    assert not page.error
    titles = [title.value for title in page.title]
    assert len(titles) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_page_runs_before_anything_was_trained(name, demo_dataset):
    page = open_page(name)
    assert not page.exception
    assert not page.error


@pytest.mark.parametrize("name", ["compare", "explain", "predict", "runs"])
def test_pages_that_need_a_run_say_what_to_do_without_one(name, demo_dataset):
    page = open_page(name)
    assert any("rain" in info.value for info in page.info), [info.value for info in page.info]
