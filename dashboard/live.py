"""The live view of a run: everything is read from its directory, so any tab shows the same."""

from typing import Any, Literal

import streamlit as st

from dashboard import cached, charts, panels, seed_results, state, strips
from fer.errors import UnknownName, UserError
from fer.runs import Run, create_run, ensure_dispatcher, list_runs, open_run, resume, stop, submit

STATE_ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/play_circle:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "killed": ":material/dangerous:",
    "interrupted": ":material/power_off:",
}
STATE_COLOURS: dict[str, Literal["gray", "blue", "green", "orange", "red"]] = {
    "queued": "gray",
    "running": "blue",
    "finished": "green",
    "stopped": "orange",
    "failed": "red",
    "killed": "red",
    "interrupted": "orange",
}


def watch_latest() -> None:
    """The run started here last, else the newest training; says what to do when there is none."""
    trainings = [run for run in list_runs() if run.kind == "train"]
    if not trainings:
        st.info(
            "No run yet. Choose settings and press **Start training**; it goes on when you close this tab."
        )
        return
    ids = [run.id for run in trainings]
    watched = st.session_state.get(state.WATCHED)
    names = {run.id: run.name for run in trainings}
    chosen = st.selectbox(
        "Watch",
        ids,
        index=ids.index(watched) if watched in ids else 0,
        format_func=lambda i: names[i],
        key=f"watch-{watched}",
    )
    show(chosen)


def show(run_id: str) -> None:
    """State, progress, curves, log tail and verbs of one run; repaints itself while it can change."""
    try:
        active = open_run(run_id).status().active
    except UserError as error:
        st.error(panels.plain(error))
        return
    st.fragment(_show, run_every=2 if active else None, key=f"live-{run_id}")(run_id, active)


def still_there(run_id: str) -> Run:
    """A run that a fragment polls; if it was removed meanwhile, the whole page is drawn again without it.

    No loop: a page draws only runs that it has just found.
    """
    try:
        return open_run(run_id)
    except UnknownName:
        st.rerun()


def _show(run_id: str, was_active: bool) -> None:
    run = still_there(run_id)
    if was_active and not run.status().active:
        st.rerun()  # the whole page: other parts of it show the run too
    state_line(run)
    _progress(run)
    seed_results.show(run)
    _curves(run)
    strips.show(run)
    with st.expander("Log", icon=":material/terminal:"):
        st.code(run.log_tail(30) or "Nothing yet.", language=None)


def state_line(run: Run) -> None:
    """State, its reason, and Stop or Resume."""
    status = run.status()
    if status.state == "queued":
        ensure_dispatcher()  # whoever served the queue may have been killed
    badge, verbs = st.columns([3, 1], vertical_alignment="center")
    badge.badge(status.state, icon=STATE_ICONS[status.state], color=STATE_COLOURS[status.state])
    if status.reason:
        badge.caption(
            panels.plain(status.reason) + (f" {panels.plain(status.remedy)}" if status.remedy else "")
        )
    if status.state in ("queued", "running"):
        verbs.button(
            "Stop",
            icon=":material/stop:",
            key=f"stop-{run.id}",
            on_click=stop_run,
            args=(run.id,),
            width="stretch",
        )
    elif status.resumable:
        _retry(run, status.settings)
        verbs.button(
            "Resume",
            icon=":material/resume:",
            key=f"resume-{run.id}",
            on_click=resume_run,
            args=(run.id,),
            width="stretch",
        )


def _retry(run: Run, settings: dict[str, Any]) -> None:
    """A button that starts the run anew with what its failure suggests, such as half the batch."""
    if not settings or run.kind != "train":
        return
    st.button(
        _offer(settings),
        type="primary",
        icon=":material/replay:",
        key=f"retry-{run.id}",
        on_click=_retry_run,
        args=(run.id, settings),
    )


def _offer(settings: dict[str, Any]) -> str:
    """What the button says: `Try again with batch size 32`, `… with learning rate of phase 2 1e-06`."""
    if settings == {"model_options.weights": None}:
        return "Train without ImageNet weights"
    shown = []
    for key, value in settings.items():
        *path, name = key.split(".")
        of = f" of phase {int(path[1]) + 1}" if path[:1] == ["phases"] else ""
        shown.append(f"{name.replace('_', ' ')}{of} {value}")
    return f"Try again with {', '.join(shown)}"


def _retry_run(run_id: str, settings: dict[str, Any]) -> None:
    from fer.training.config import with_settings

    with panels.errors_shown():
        old = open_run(run_id)
        config = with_settings(old.train_config(), settings)
        run = create_run(config.to_json(), kind="train", recipe=old.recipe, repeat_after=5)
        submit(run)
        st.session_state[state.WATCHED] = run.id


def stop_run(run_id: str) -> None:
    """Ask a run to stop; it keeps its best model and can be resumed."""
    with panels.errors_shown():
        stop(open_run(run_id), wait=False)
        st.toast("Stopping; the best model so far is kept.", icon=":material/stop:")


def resume_run(run_id: str) -> None:
    """Queue a run again from its last complete epoch."""
    with panels.errors_shown():
        resume(open_run(run_id))
        st.toast("Resumed from its last complete epoch.", icon=":material/resume:")


def _progress(run: Run) -> None:
    status = run.status()
    progress = status.progress or {}
    epochs = status.epochs or 1
    step, steps = progress.get("step") or 0, progress.get("steps") or 1
    fraction = min((status.epoch + (step / steps if status.state == "running" else 0)) / epochs, 1.0)
    text = f"Epoch {status.epoch} of {status.epochs} complete"
    if not status.epochs or run.kind not in ("train", "diffusion"):  # other jobs count no epochs
        fraction, text = (
            min(float(progress.get("fraction") or 0), 1.0),
            str(progress.get("text") or "Waiting …"),
        )
    if status.state == "running" and progress.get("phase"):
        text += f" · {progress['phase']}"
    st.progress(1.0 if status.state == "finished" else fraction, text=panels.plain(text))
    row = st.container(horizontal=True)
    row.metric("Images/s", _speed(run, progress))
    running = status.state == "running"
    row.metric("Time left", panels.duration(progress.get("seconds_left")) if running else "–")
    row.metric("Elapsed", panels.duration(status.seconds))
    row.metric("Device", str(progress.get("device") or status.device or "–").upper())
    if precision := progress.get("precision"):
        row.metric("Precision", str(precision).removeprefix("mixed_"), help="What the network computes in")
    if status.state == "finished":
        _scores(run)
    _usage(run, running)


def _scores(run: Run) -> None:
    """The accuracy of a finished run, with and without the images whose pixels it trained on."""
    found = run.metrics()
    if found.get("accuracy") is None:
        return
    row = st.container(horizontal=True)
    split = "Validation" if found.get("split") == "validation" else "Test"
    row.metric(f"{split} accuracy", f"{100 * found['accuracy']:.1f} %")
    without = found.get("accuracy_without_leaks")
    row.metric(
        "Without leaked images",
        f"{100 * without:.1f} %" if without is not None else "–",
        help="Leaked: pixel-identical to an image the run trained or validated on",
    )


def _usage(run: Run, running: bool) -> None:
    """Memory, processor and GPU: now while it runs, at its highest afterwards."""
    used = run.usage()
    if not used:
        return
    peak = f"{used['peak_memory_bytes'] / 1e9:.2f} GB"
    row = st.container(horizontal=True)
    if not running:
        row.caption(f"Most memory it used: {peak}.")
        return
    row.metric("Memory", f"{used['memory_bytes'] / 1e9:.2f} GB", help="Of the run with all its processes")
    row.metric("Highest so far", peak)
    row.metric("Free on this computer", f"{used['machine_free_bytes'] / 1e9:.1f} GB")
    cores = used.get("processor_percent", 0) / 100
    row.metric("Processor cores", f"{cores:.1f}", help=f"{used.get('processes', 1)} processes")
    if "gpu_percent" in used:
        row.metric("GPU", f"{used['gpu_percent']:.0f} %")
        most = used["gpu_memory_total_bytes"] / 1e9
        row.metric("GPU memory", f"{used['gpu_memory_bytes'] / 1e9:.1f} of {most:.0f} GB")


def _speed(run: Run, progress: dict[str, Any]) -> str:
    """Training images a second: now, or in the last epoch of a run that has ended."""
    speed = progress.get("images_per_second")
    history = cached.history(run.directory)
    if speed is None and "images_per_second" in history and len(history):
        speed = history["images_per_second"].iloc[-1]
    return f"{speed:,.0f}" if speed else "–"


def _curves(run: Run) -> None:
    history = cached.history(run.directory)
    if history.empty:
        if run.status().state in ("queued", "running"):
            st.caption("The curves appear after the first epoch.")
        return
    shown = [name for name in ("accuracy", "loss") if {name, f"val_{name}"} & set(history)]
    for column, quantity in zip(st.columns(max(len(shown), 1)), shown, strict=False):
        with column:
            figure = charts.curves({run.name: history}, quantity)
            st.plotly_chart(
                figure,
                key=f"live-{run.id}-{quantity}",
                config={"displaylogo": False},
                alt=f"{quantity} by epoch",
            )
