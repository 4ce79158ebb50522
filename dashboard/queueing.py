"""The queue on the Runs page: what waits, in which order, and the verbs that change it."""

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import panels
from fer.runs import Run, cancel, ensure_dispatcher, list_runs, move, pause, queue_paused, statuses

SHOWN = 25


@st.fragment(run_every=3)
def waiting() -> None:
    """Every waiting run in launch order, with Earlier, Later, Pause and Cancel; repaints itself."""
    known = statuses(runs := list_runs())
    queued = sorted(
        (run for run in runs if known[run.id].state == "queued" and known[run.id].position),
        key=lambda run: known[run.id].position or 0,
    )
    stopped = queue_paused()
    if not queued and not stopped:
        return
    ensure_dispatcher()  # whoever served the queue may have been killed
    with st.container(border=True):
        head = st.container(horizontal=True, vertical_alignment="center")
        head.markdown(f"**Queue: {len(queued)} waiting{', paused' if stopped else ''}**", width="stretch")
        head.button(
            "Continue the queue" if stopped else "Pause the queue",
            icon=":material/play_arrow:" if stopped else ":material/pause:",
            help="Runs that are running go on; none is started while the queue is paused.",
            on_click=_do,
            args=(pause, None, not stopped),
            key="pause-queue",
        )
        for run in queued[:SHOWN]:
            _line(run, known[run.id], len(queued))
        if len(queued) > SHOWN:
            st.caption(f"{len(queued) - SHOWN} more wait behind these; the table has them all.")


def _line(run: Run, status: Any, waiting: int) -> None:
    place = status.position
    line = st.container(horizontal=True, vertical_alignment="center", gap=None)
    since = panels.duration(max(0.0, time.time() - (status.queued or time.time())))
    paused = status.held
    line.markdown(
        f"{place}. {panels.plain(run.name)} :gray[{panels.plain(run.recipe or run.kind)}, "
        f"{panels.plain(status.device or 'auto')}, waiting for {since}{', paused' if paused else ''}]",
        width="stretch",
    )
    verbs: list[tuple[str, str, str, bool, Callable[..., Any], tuple[Any, ...]]] = [
        ("first", "Next to start", "vertical_align_top", place == 1, move, (1,)),
        ("earlier", "Earlier", "arrow_upward", place == 1, move, (place - 1,)),
        ("later", "Later", "arrow_downward", place == waiting, move, (place + 1,)),
        (
            "pause",
            "Let it start" if paused else "Keep it from starting",
            "play_arrow" if paused else "pause",
            False,
            pause,
            (not paused,),
        ),
        ("cancel", "Take it out of the queue", "close", False, cancel, ()),
    ]
    for name, explanation, icon, disabled, verb, arguments in verbs:
        line.button(
            "",
            icon=f":material/{icon}:",
            help=explanation,
            key=f"{name}-{run.id}",
            disabled=disabled,
            type="tertiary",
            on_click=_do,
            args=(verb, run.id, *arguments),
        )


def _do(verb: Callable[..., Any], run_id: str | None, *arguments: Any) -> None:
    """A verb of the queue; the run may have started in the meantime, which is said, not raised."""
    with panels.errors_shown():
        verb(run_id, *arguments)
