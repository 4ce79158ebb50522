"""A network from elsewhere on the pages: brought in by the form, then compared, explained and asked."""

import pytest

from fer.runs import list_runs
from tests.models import foreignkit
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def queued(monkeypatch):
    """Background jobs that were started; none runs here."""
    wishes = []
    monkeypatch.setattr("dashboard.jobs.start", lambda kind, config, *rest: wishes.append((kind, config)))
    return wishes


def test_the_form_brings_a_network_in_and_it_runs_everywhere(demo_dataset, queued):
    from fer.evaluation.predictions import evaluate_run

    page = open_page("runs")
    assert by_label(page.button, "Import the model").disabled
    content = foreignkit.zipped(foreignkit.saved(foreignkit.good_network()))
    page.file_uploader[0].upload("mine.keras", content).run()
    by_label(page.text_input, "Name").set_value("from elsewhere")
    by_label(page.button, "Import the model").click()
    page.run(timeout=200)
    assert not page.exception
    assert not page.error
    (run,) = list_runs()
    assert (run.kind, run.name, run.config["dataset"]) == (
        "imported",
        "from elsewhere",
        demo_dataset.fingerprint,
    )
    assert queued == [("evaluate", {"dataset": demo_dataset.fingerprint, "run": run.id, "split": "test"})]
    evaluate_run(run.directory, splits=("test",))
    for name in ("compare", "explain", "predict", "runs"):
        page = open_page(name, runs="from elsewhere", run="from elsewhere")
        assert not page.exception, name
        assert not page.error, (name, [error.value for error in page.error])
    page = open_page("compare", runs="from elsewhere")
    shown = " ".join(text.value for text in [*page.markdown, *page.warning])
    assert "leak status unknown" in shown.replace("\\", "")


def test_a_refused_file_is_one_message_and_no_run(demo_dataset):
    members = foreignkit.saved(foreignkit.good_network())
    hostile = foreignkit.with_layer(members, foreignkit.layer("<img src=x onerror=alert(1)>", "os"))
    page = open_page("runs")
    page.file_uploader[0].upload("evil.keras", hostile).run()
    by_label(page.button, "Import the model").click()
    page.run(timeout=200)
    assert not page.exception
    (error,) = page.error
    assert "is refused" in error.value.replace("\\", "")
    assert "<img" not in error.value.replace("\\<", "")
    assert list_runs() == []
