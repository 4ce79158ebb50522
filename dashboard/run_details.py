"""The parts of the Runs page: the table that stays live, and everything about one run."""

import json

import pandas as pd
import streamlit as st

from dashboard import cached, charts, live, panels
from fer.errors import UserError
from fer.runs import Run, list_runs, open_run, remove, rename


@st.fragment(run_every=3)
def live_table(text: str, states: tuple[str, ...]) -> None:
    """All runs that fit the search; repaints itself every three seconds."""
    wanted = [run for run in list_runs() if fits(run, text) and (not states or run.status().state in states)]
    if not wanted:
        st.info("No run fits. Clear the search or the states.")
        return
    panels.runs_table(wanted, "runs")


def fits(run: Run, text: str) -> bool:
    """Whether name, id, recipe or data set contain the text, in any case."""
    words = f"{run.name} {run.id} {run.recipe} {run.kind} {run.config.get('dataset', '')}".lower()
    return text.lower().strip() in words


def show(run: Run) -> None:
    """One run: live state, configuration, log, files, and what can be done with it."""
    progress, settings, log, files, manage = st.tabs(["Progress", "Configuration", "Log", "Files", "Manage"])
    with progress:
        live.show(run.id)
        history = cached.history(run.directory)
        if "learning_rate" in history:
            panels.chart(
                charts.curves({run.name: history}, "learning_rate"),
                history,
                f"rate-{run.id}",
                "Learning rate by epoch",
            )
    with settings:
        st.caption("The command that repeats this run:")
        st.code(command(run), language="bash", wrap_lines=True)
        st.json(run.config, expanded=1)
    with log:
        st.code(run.log_tail(400) or "Nothing yet.", language=None, height=420)
        path = run.directory / "train.log"
        if path.exists():
            st.download_button(
                "Log", path.read_bytes(), f"{run.id}.log", icon=":material/download:", on_click="ignore"
            )
    with files:
        _files(run)
    with manage:
        _manage(run)


def command(run: Run) -> str:
    """The command line that trains the same again."""
    from fer.reproduce import command_line

    if run.kind != "train":
        return f"# {run.kind} jobs are started from their page"
    return command_line(run.train_config())


def _files(run: Run) -> None:
    rows = [
        {"file": str(p.relative_to(run.directory)), "size (kB)": p.stat().st_size / 1000}
        for p in sorted(run.directory.rglob("*"))
        if p.is_file() and not p.name.startswith(".")
    ]
    panels.table(
        pd.DataFrame(rows),
        f"files-{run.id}",
        column_config={"size (kB)": st.column_config.NumberColumn(format="%.1f")},
    )
    best = run.directory / "best.keras"
    if best.exists():
        st.download_button(
            "Model (best.keras)",
            best.read_bytes(),
            f"{run.id}.keras",
            icon=":material/download:",
            on_click="ignore",
        )
    st.download_button(
        "Configuration (JSON)",
        json.dumps(run.config, indent=1),
        f"{run.id}.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def _manage(run: Run) -> None:
    with st.form(f"rename-{run.id}", border=False):
        name = st.text_input("Name", run.name)
        if st.form_submit_button("Rename", icon=":material/edit:"):
            try:
                rename(run, name)
                st.rerun()
            except UserError as error:
                st.error(panels.plain(error))
    if st.button("Delete …", icon=":material/delete:", key=f"delete-{run.id}"):
        confirm_removal(run.id)


@st.dialog("Delete this run?")
def confirm_removal(run_id: str) -> None:
    """Ask before a run goes to the trash."""
    run = open_run(run_id)
    st.write(f"{panels.plain(run.name)} goes to the trash, with its model and reports. Undo brings it back.")
    if st.button("Delete", type="primary", icon=":material/delete:"):
        try:
            remove(run)
        except UserError as error:
            st.error(panels.plain(error))
            return
        st.rerun()
