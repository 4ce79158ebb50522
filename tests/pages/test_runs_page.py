"""The Runs page: what the table says, what the queue's buttons do, running again with changes."""

import pytest

from dashboard import run_table, running_again
from fer import runs, storage
from fer.errors import UserError
from fer.recipes import recipe_config
from fer.runs import queue, statuses
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def waiting(demo_dataset, monkeypatch):
    """Three runs in the queue, which nobody serves."""
    monkeypatch.setattr("fer.runs.lifecycle.ensure_dispatcher", lambda: False)
    for module in ("live", "queueing"):
        monkeypatch.setattr(f"dashboard.{module}.ensure_dispatcher", lambda: False)
    monkeypatch.setattr("fer.runs.ensure_dispatcher", lambda: False)
    made = []
    for number in range(3):
        config = recipe_config("baseline_cnn", demo_dataset.fingerprint, seed=str(number))
        made.append(runs.create_run(config, name=f"run {number}", recipe="baseline_cnn"))
        runs.submit(made[-1])
    return made


def order() -> list[str]:
    return [row.run for row in queue.rows()]


def button(page, verb, run):
    return next(found for found in page.button if found.key == f"{verb}-{run.id}")


def test_waiting_runs_are_reordered_paused_and_cancelled_from_the_page(waiting):
    first, second, third = waiting
    page = open_page("runs")
    assert not page.exception
    assert any("Queue: 3 waiting" in text.value for text in page.markdown)
    button(page, "first", third).click().run()
    assert order() == [third.id, first.id, second.id]
    button(page, "later", third).click().run()
    assert order() == [first.id, third.id, second.id]
    button(page, "earlier", second).click().run()
    assert order() == [first.id, second.id, third.id]
    button(page, "pause", first).click().run()
    assert first.status().held
    assert not second.status().held
    button(page, "pause", first).click().run()
    assert not first.status().held
    button(page, "cancel", second).click().run()
    assert second.status().state == "stopped"
    assert order() == [first.id, third.id]
    next(found for found in page.button if found.key == "pause-queue").click().run()
    assert runs.queue_paused()
    assert not page.exception
    assert not page.error


def test_a_verb_that_comes_too_late_is_a_sentence(waiting):
    page = open_page("runs")
    runs.cancel(waiting[1])
    button(page, "first", waiting[1]).click().run()
    assert not page.exception
    assert any("not waiting in the queue" in error.value for error in page.error)


def test_the_table_says_what_the_run_is_and_how_good(cache_with_run, trained_run):
    run = runs.open_run(trained_run.name)
    runs.tag(run, ["keep"])
    (found,) = run_table.table(runs.list_runs(), statuses(runs.list_runs())).to_dict("records")
    assert found["run"] == "two epochs"
    assert found["state"] == "✓ finished"
    assert (found["recipe"], found["data set"], found["selection"]) == ("baseline_cnn", "Demo faces", None)
    assert (found["epoch"], found["device"], found["tags"]) == ("2 / 2", "cpu", ["keep"])
    assert found["best accuracy (%)"] == pytest.approx(100 * run.history()["val_accuracy"].max())
    assert found["test (%)"] == pytest.approx(100 * run.metrics()["accuracy"])
    clean = run.metrics()["accuracy_without_leaks"]
    assert clean != run.metrics()["accuracy"]
    assert found["without leaks (%)"] == pytest.approx(100 * clean)
    assert abs(found["started"].timestamp() - run.status().started) < 1
    for text in ("two ep", "BASELINE", "demo faces", "keep"):
        assert run_table.fits(runs.open_run(run.id), text), text
    assert not run_table.fits(run, "unet")


def test_filters_by_state_and_tag(waiting):
    runs.tag(waiting[0], ["good"])
    runs.cancel(waiting[2])
    page = open_page("runs", states="stopped")
    assert list(page.dataframe[0].value["run"]) == ["run 2"]
    page = open_page("runs", tags="good")
    assert list(page.dataframe[0].value["run"]) == ["run 0"]


def test_run_again_with_changes_makes_a_new_run_and_leaves_the_old(waiting):
    old = waiting[0]
    page = open_page("runs", run=old.name)
    by_label(page.number_input, "Epochs").set_value(4)
    by_label(page.text_area, "Other settings").set_value("augmentation=C\nclass_weights = balanced")
    by_label(page.button, "Start it").click()
    page.run()
    assert not page.exception
    assert not page.error
    new = runs.list_runs()[0]
    assert new.id != old.id
    config, before = new.train_config(), old.train_config()
    assert (config.epochs, config.class_weights) == (4, "balanced")
    assert config.augmentation.active
    assert (config.seed, config.batch_size, config.model) == (before.seed, before.batch_size, before.model)
    assert order()[-1] == new.id
    by_label(page.text_area, "Other settings").set_value("epoch=4")
    by_label(page.button, "Start it").click()
    page.run()
    assert any("epoch" in error.value for error in page.error)
    assert len(runs.list_runs()) == 4


def test_lines_of_settings():
    assert running_again.parse("a=1\n\n b = x=y ") == {"a": "1", "b": "x=y"}
    with pytest.raises(UserError, match="name=value"):
        running_again.parse("batch 32")


def test_memory_and_processor_of_a_run_are_shown(cache_with_run, trained_run, monkeypatch):
    used = {"memory_bytes": 1.5e9, "peak_memory_bytes": 2.25e9, "machine_free_bytes": 4e9}
    used |= {"processor_percent": 180.0, "processes": 3, "gpu_percent": 87.0}
    used |= {"gpu_memory_bytes": 12e9, "gpu_memory_total_bytes": 80e9}
    storage.write_json(cache_with_run / "runs" / trained_run.name / "usage.json", used)
    page = open_page("runs")
    assert any("2.25 GB" in caption.value for caption in page.caption)
    from dashboard import live

    monkeypatch.setattr(live.st, "metric", None, raising=False)
    shown = {}

    class Row:
        def metric(self, label, value, **_):
            shown[label] = value

    monkeypatch.setattr(live.st, "container", lambda **_: Row())
    live._usage(runs.open_run(trained_run.name), running=True)
    assert shown == {
        "Memory": "1.50 GB",
        "Highest so far": "2.25 GB",
        "Free on this computer": "4.0 GB",
        "Processor cores": "1.8",
        "GPU": "87 %",
        "GPU memory": "12.0 of 80 GB",
    }


def test_delete_and_undo(cache_with_run, trained_run):
    page = open_page("runs")
    by_label(page.button, "Delete").click().run()
    assert runs.list_runs() == []
    assert runs.list_trash() == [trained_run.name]
    by_label(page.button, "Restore").click().run()
    assert [run.id for run in runs.list_runs()] == [trained_run.name]
    assert not page.exception


def test_home_has_the_best_run_of_this_data_set_with_and_without_leaks(cache_with_run, trained_run):
    run = runs.open_run(trained_run.name)
    other = runs.create_run({"dataset": "another"}, kind="train", name="elsewhere", recipe="baseline_cnn")
    runs.record_finished(other, {"accuracy": 0.99, "accuracy_without_leaks": 0.99})
    shown = " ".join(text.value for text in open_page("home").markdown)
    accuracy, clean = (100 * run.metrics()[name] for name in ("accuracy", "accuracy_without_leaks"))
    assert (
        f"1 finished, best {accuracy:.1f} % on test, {clean:.1f} % without leaked images (two epochs)"
        in shown
    )


def test_a_measurement_of_time_is_no_training(cache_with_run, demo_dataset):
    config = {"dataset": demo_dataset.fingerprint, "phases": [{"epochs": 110}]}
    run = runs.create_run(config, kind="estimate", recipe="cnn4")
    runs.record_finished(run, {"seconds": 60.0})
    found = run_table.table([run], statuses([run])).to_dict("records")[0]
    assert (found["recipe"], found["epoch"]) == ("estimate", None)
    page = open_page("runs", run=run.id)
    assert not page.exception
    shown = " ".join(str(element.proto) for element in page.get("progress"))
    assert shown
    assert "110" not in shown
