"""Run again with changes: a form with a run's own settings, which makes a new run and leaves the old one."""

from typing import Any

import streamlit as st

from dashboard import clicks, network_options, panels, state
from dashboard.fields import rate_field
from fer import ablation_ingredients
from fer.errors import UserError
from fer.runs import Run, create_run, submit


def form(run: Run) -> None:
    """Epochs, batch, learning rate, seed, device and any other setting; Start queues the new run."""
    from fer.training.config import with_settings

    if run.kind == "imported":
        st.info("This network was trained elsewhere; what it was trained with is not known here.")
        return
    if run.kind != "train":
        st.button(
            "Run again", icon=":material/replay:", on_click=_same_again, args=(run,), key=f"again-{run.id}"
        )
        return
    try:
        config = run.train_config()
    except UserError as error:
        st.warning(panels.plain(error))
        return
    with st.form(f"again-{run.id}", border=False):
        changes = _fields(config, run.id)
        other = st.text_area(
            "Other settings, one `name=value` a line",
            placeholder="augmentation=C\nclass_weights=balanced\nsplit.validation_fraction=0.1",
            help="The names are those of the configuration; `python -m fer train --set` takes the same.",
            key=f"again-other-{run.id}",
        )
        name = st.text_input("Name of the new run", placeholder="made from the recipe and the time")
        start = st.form_submit_button("Start it", type="primary", icon=":material/replay:")
    if not start:
        return
    with panels.errors_shown():
        new = with_settings(config, changes | parse(other))
        network_options.check(new, config.model_options)
        made = create_run(
            new.to_json(), kind="train", name=name.strip() or None, recipe=run.recipe, repeat_after=5
        )
        submit(made)
        st.session_state[state.WATCHED] = made.id
        st.toast(f"{panels.plain(made.name)} is in the queue.", icon=":material/schedule:")


def parse(text: str) -> dict[str, str]:
    """`name=value` lines as settings.

    Raises:
        UserError: a line without `=`.
    """
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign or not name.strip():
            raise UserError(f"The line {line[:60]!r} is not a setting. Write it as name=value.")
        found[name.strip()] = value.strip()
    return found


def _fields(config: Any, key: str) -> dict[str, str]:
    """What was changed in the usual fields, as settings."""
    grid = st.grid(5, min_column_width=120)
    epochs = grid.number_input("Epochs", 1, 1000, config.own_epochs, key=f"again-epochs-{key}")
    batch = grid.number_input("Batch size", 1, 4096, config.batch_size, key=f"again-batch-{key}")
    rate = rate_field(grid, config, key=f"again-rate-{key}")
    seed = grid.number_input("Seed", 0, 2**31 - 1, config.seed, key=f"again-seed-{key}")
    device = grid.text_input("Device", config.device, help="auto, cpu, gpu:0, …", key=f"again-device-{key}")
    shown = {"epochs": str(epochs), "batch_size": str(batch), "seed": str(seed), "device": device.strip()}
    own = {name: str(getattr(config, name)) for name in shown} | {"epochs": str(config.own_epochs)}
    if rate:
        shown["learning_rate"], own["learning_rate"] = rate, repr(config.phases[0].learning_rate)
    return {name: value for name, value in shown.items() if value != own[name]}


def _same_again(run: Run) -> None:
    with panels.errors_shown():
        made = clicks.once(_queue_copy, run)
        st.toast(f"{panels.plain(made.name)} is in the queue.", icon=":material/schedule:")


def _queue_copy(run: Run) -> Run:
    config = ablation_ingredients.renewed(run) if run.kind == ablation_ingredients.KIND else run.config
    made = create_run(config, kind=run.kind, recipe=run.recipe)
    submit(made)
    return made
