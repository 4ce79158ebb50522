"""The settings of a training: a recipe's own values, changed where somebody wants it.

The usual ones are on top, the rest in sections. Widget keys hold the recipe's name, so that each recipe
remembers its own changes. A fragment and no form: what depends on a choice appears with it, contradictions
are said at once, and only this part of the page is drawn again.

Epochs and Learning rate on top act on the recipe's phases. Once the table of phases is edited it alone
counts, and they show what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import building, network_options, panels, phase_table, state, train_sections
from dashboard.fields import Form, rate_field
from dashboard.running_again import parse
from dashboard.train_fields import FIELDS
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.runs import Run, list_runs
from fer.training.config import TrainConfig, with_settings
from fer.training.effects import check_effects

if TYPE_CHECKING:
    from fer.generation.dataset import GeneratedSet

SEEDS_LIMIT = 20
_IN_THE_TABLE = "Set in the table of Phases and optimizer."


@dataclass(frozen=True)
class Chosen:
    """What is to be trained: a config, what to call the run ('' for a name that is made), how many seeds."""

    config: TrainConfig
    name: str
    seeds: int


def recipe_choice(recipes: Mapping[str, Any]) -> str:
    """The name of a recipe."""
    return st.selectbox(
        "Recipe",
        list(recipes),
        key=state.RECIPE,
        bind="query-params",
        persist_state="session",
    )


@st.fragment
def panel(recipe: str, dataset: Dataset) -> None:
    """The settings and Start, which queues what they say.

    Every default is the recipe's own, so pressing Start at once repeats the recipe.
    """
    chosen = _ask(recipe, dataset)
    st.button("Start training", type="primary", icon=":material/play_arrow:", width="stretch", on_click=_want)
    if not st.session_state.pop(state.STARTING, False) or chosen is None:
        return
    with panels.errors_shown():
        run = start(chosen)
        st.session_state[state.WATCHED] = run.id
        st.session_state[state.STARTED] = run.name
        st.rerun()  # the whole page, which shows the run


def _want() -> None:
    # Not the button's own value: when a field is left by pressing Start, what was typed draws this fragment
    # again, and the run of the page that had the value true ends before it is read.
    st.session_state[state.STARTING] = True


def _ask(recipe: str, dataset: Dataset) -> Chosen | None:
    """What the fields say; None, with the reason shown, where they contradict each other."""
    from fer.recipes import recipe_config

    config = recipe_config(recipe, dataset.fingerprint)
    content = config.to_json() | {"model_options": network_options.own_options(config)}
    form = Form(content, _version(recipe))
    copied = st.query_params.get(state.CLONE) == "1"
    if copied:
        st.info(
            f"A copy of {panels.plain(recipe)}: change anything below; the recipe itself stays.",
            icon=":material/content_copy:",
        )
    usual, schedule = st.container(), st.empty()
    generated = _sections(form, config, dataset, building.networks(), copied)
    with _section("Other settings", "list", copied):
        other = st.text_area(
            "Other settings, one `name=value` a line",
            placeholder="augmentation.rotation=15\nsplit.validation_fraction=0.1",
            help="The names are those of the configuration; `python -m fer train --set` takes the same. "
            "They come last.",
            **form.options("other"),
        )
    with usual:  # on top, but drawn after the table of phases: an edited one is shown here too
        name, seeds = _usual(form, config, f"{recipe} copy" if copied else "")
    try:
        chosen = _config(config, form, other, generated)
    except UserError as error:
        st.error(panels.plain(error))
        return None
    schedule.caption(panels.plain(phase_table.sentence(chosen.all_phases)))
    _remarks(chosen, recipe)
    return Chosen(chosen, name, seeds)


def start(chosen: Chosen) -> Run:
    """Queue the run, or one for each seed; returns the first."""
    from fer import runs
    from fer.seeds import make

    config = chosen.config
    if chosen.seeds > 1:
        made = list(make(config, chosen.seeds, chosen.name, repeat_after=5))
    else:
        made = [
            runs.create_run(
                config.to_json(),
                kind="train",
                name=chosen.name or None,
                recipe=config.recipe,
                repeat_after=5,
            )
        ]
    for run in made:
        runs.submit(run)
    return made[0]


def _config(config: TrainConfig, form: Form, other: str, generated: "GeneratedSet | None") -> TrainConfig:
    """The recipe with what was changed.

    Raises:
        UserError: a value that cannot be read, or that does not fit the others.
    """
    for problem in form.problems:
        raise problem
    chosen = with_settings(config, form.changed | parse(other))
    if generated is not None:  # what validates this training must be new to the generator too
        chosen = replace(chosen, generated=generated.reference, split=generated.split)
    network_options.check(chosen, form.own("model_options"))
    check_effects(chosen)
    return chosen


def _usual(form: Form, config: TrainConfig, called: str) -> tuple[str, int]:
    """Name, number of seeds, epochs of all phases together, batch size, learning rate where it is one."""
    name = st.text_input(
        "Run name",
        _free(called) if called else "",
        placeholder="made from the recipe and the time",
        **form.options("name" if not called else "copy"),
    )
    grid = st.grid(2, min_column_width=130)
    _epochs(form, config, grid)
    with grid:
        form.ask(FIELDS["batch_size"])
    _rate(form, config, grid)
    seeds = grid.number_input(
        "Seeds (runs)",
        1,
        SEEDS_LIMIT,
        1,
        help="Several runs that differ in their random seed only, shown as mean ± standard deviation.",
        **form.options("seeds"),
    )
    return name.strip(), int(seeds)


def _epochs(form: Form, config: TrainConfig, place: Any) -> None:
    """Epochs of all phases together: a choice, or what the edited table adds up to."""
    if "phases" in form.changed:
        total = sum(phase["epochs"] for phase in form.changed["phases"])
        # Without a key: a key would keep the first total, whatever the table says later.
        place.number_input("Epochs", value=total, disabled=True, help=_IN_THE_TABLE)
        return
    epochs = place.number_input(
        "Epochs",
        1,
        1000,
        config.own_epochs,
        help="Of all phases together, which share them in proportion; of each see Phases and optimizer.",
        **form.options("epochs"),
    )
    if epochs != config.own_epochs:
        form.changed["epochs"] = epochs


def _rate(form: Form, config: TrainConfig, place: Any) -> None:
    """The learning rate where the phases have one: a choice, or the highest of the edited table."""
    if "phases" in form.changed:
        highest = max((phase["learning_rate"] for phase in form.changed["phases"]), default=0.0)
        place.number_input("Learning rate", value=highest, format="%g", disabled=True, help=_IN_THE_TABLE)
        return
    rate = rate_field(place, config, **form.options("rate"))
    if rate and rate != repr(config.phases[0].learning_rate):
        form.changed["learning_rate"] = float(rate)


def _sections(
    form: Form, config: TrainConfig, dataset: Dataset, runs: dict[str, Run], opened: bool
) -> "GeneratedSet | None":
    """Everything else, in the order in which it acts on a training; the generated set that was chosen."""
    with _section("Images and split", "photo_library", opened):
        generated = train_sections.images(form, dataset)
    with _section("Loss and rare classes", "balance", opened):
        train_sections.loss(form)
        smote = st.container()  # it depends on the network, which is chosen below
    with _section("Mixing and augmentation", "shuffle", opened):
        train_sections.augmentation(form, config)
        form.ask(FIELDS["mixup"], FIELDS["cutmix"])
    with _section("Phases and optimizer", "timeline", opened):
        st.caption(
            "One after the other, a row each; the last row adds one, a ticked row can be removed. Scroll the "
            "table sideways for all of its columns. The boxes Epochs and Learning rate on top act on all "
            "phases and leave the table as it is; once the table is edited, only the table counts."
        )
        form.note("phases", phase_table.edit(form.own("phases"), form.name))
        form.ask(FIELDS["ema"], FIELDS["hard_samples"])
    with _section("Stopping and checkpoint", "flag", opened):
        form.ask(FIELDS["checkpoint_monitor"])
        form.ask(FIELDS["early_stopping_patience"])
        if form.now("early_stopping_patience"):
            form.ask(FIELDS["early_stopping_monitor"])
        form.ask(FIELDS["settle"])
    with _section("Network, weights and teachers", "account_tree", opened):
        network_options.ask(form)
        building.starting_weights(form, runs)
        with smote:
            building.smote(form, runs)
        building.teachers(form, runs)
    with _section("Machine and repeatability", "memory", opened):
        train_sections.device(form)
        form.ask(*(FIELDS[key] for key in ("precision", "gradient_accumulation")))
        form.ask(*(FIELDS[key] for key in ("jit", "deterministic")))
        form.ask(FIELDS["seed"])
    return generated


def _section(title: str, icon: str, opened: bool) -> Any:
    return st.expander(title, icon=f":material/{icon}:", expanded=opened)


def _remarks(config: TrainConfig, recipe: str) -> None:
    """What differs from the recipe, a way back, and what is allowed but hardly meant."""
    from fer.reproduce import changes

    if config.oversample and not config.augmentation.active:
        st.warning(
            "A class is grown but the images are not varied, so it is repeated as it is. Choose an "
            "augmentation."
        )
    found = changes(config)
    if not found:
        st.caption("As in the recipe.")
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption("Changed: " + panels.plain(", ".join(f"{k} = {_short(v)}" for k, v in found.items())))
    row.button(
        "Back to the recipe", icon=":material/undo:", type="tertiary", on_click=_forget, args=(recipe,)
    )


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:39]}…"


def _version(recipe: str) -> str:
    """Part of the widgets' keys: another one makes them forget what was changed."""
    times = st.session_state.get(f"{state.FORGOTTEN} {recipe}", 0)
    return f"{recipe}-{times}" if times else recipe


def _forget(recipe: str) -> None:
    key = f"{state.FORGOTTEN} {recipe}"
    st.session_state[key] = st.session_state.get(key, 0) + 1


def _free(name: str) -> str:
    """`name`, with a number behind it where another run has it."""
    taken = {run.name for run in list_runs()}
    candidates = [name, *(f"{name} {n}" for n in range(2, len(taken) + 2))]
    return next(each for each in candidates if each not in taken)
