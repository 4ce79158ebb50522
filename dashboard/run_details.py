"""The parts of the Runs page that are about one run, and the trash."""

import json

import pandas as pd
import streamlit as st

from dashboard import cached, charts, exporting, live, panels, running_again, state
from fer.runs import (
    Run,
    all_tags,
    archive,
    list_trash,
    note,
    open_run,
    remove,
    rename,
    restore,
    tag,
)


def show(run: Run) -> None:
    """One run: live state, configuration, log, files, and what can be done with it."""
    tabs = ["Progress", "Configuration", "Log", "Files", "Run again", "Manage"]
    progress, settings, log, files, again, manage = st.tabs(tabs)
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
        st.caption("The command that repeats this run; the symbol in its corner copies it:")
        st.code(command(run), language="bash", wrap_lines=True)
        st.json(run.config, expanded=1)
    with log:
        st.code(run.log_tail(400) or "Nothing yet.", language=None, height=420)
        path = run.directory / "train.log"
        if path.exists():
            st.download_button(
                "Log", path.read_bytes, f"{run.id}.log", icon=":material/download:", on_click="ignore"
            )
    with files:
        _files(run)
    with again:
        running_again.form(run)
    with manage:
        _manage(run)


def command(run: Run) -> str:
    """The command line that trains the same again."""
    from fer.reproduce import command_line

    if run.kind == "imported":
        return "# trained elsewhere; python -m fer import-model FILE brought it in"
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
            best.read_bytes,  # when it is pressed: a network may have 100 MB
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
    if best.exists():
        exporting.export(run)


def _manage(run: Run) -> None:
    with st.form(f"labels-{run.id}", border=False):
        name = st.text_input("Name", run.name)
        tags = st.multiselect(
            "Tags", sorted({*all_tags(), *run.tags}), default=list(run.tags), accept_new_options=True
        )
        text = st.text_area("Note", run.note)
        if st.form_submit_button("Save", icon=":material/save:"):
            with panels.errors_shown():
                if name != run.name:
                    rename(run, name)
                tag(run, tags)
                note(run, text)
                st.rerun()
    verbs = st.container(horizontal=True)
    verbs.button(
        "Back to the list" if run.archived else "Archive",
        icon=":material/unarchive:" if run.archived else ":material/archive:",
        on_click=_archive,
        args=(run.id, not run.archived),
        key=f"archive-{run.id}",
    )
    verbs.button("Delete", icon=":material/delete:", on_click=_remove, args=(run.id,), key=f"delete-{run.id}")


def _archive(run_id: str, archived: bool) -> None:
    with panels.errors_shown():
        archive(open_run(run_id), archived)


def _remove(run_id: str) -> None:
    with panels.errors_shown():
        remove(open_run(run_id))
        st.session_state.pop(state.RUN, None)
        st.toast("Moved to the trash; restore it below.", icon=":material/delete:")


def trash() -> None:
    """Removed runs and the way back."""
    removed = list_trash()
    if not removed:
        return
    with st.expander(f"Trash ({len(removed)})", icon=":material/delete:"):
        for run_id in removed[:20]:
            row = st.container(horizontal=True, vertical_alignment="center")
            row.markdown(panels.plain(run_id))
            row.button(
                "Restore", icon=":material/undo:", on_click=_restore, args=(run_id,), key=f"restore-{run_id}"
            )


def _restore(run_id: str) -> None:
    with panels.errors_shown():
        restore(run_id)
