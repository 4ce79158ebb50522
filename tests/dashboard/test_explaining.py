"""Maps of many passes: progress is drawn, Cancel ends them, and nothing is computed after it."""

from types import SimpleNamespace

import numpy as np
from streamlit.testing.v1 import AppTest

IMAGE = np.zeros((48, 48), np.uint8)


def page() -> None:
    import numpy as np
    import streamlit as st

    from dashboard import explaining
    from tests.dashboard import test_explaining as here

    def compute(run, progress):
        for step in range(1, 5):
            progress(step / 4, "")
        here.computed.append(run.id)
        return run.id

    made = explaining._computed(np.zeros((48, 48), np.uint8), here.RUNS, compute, here.method)
    st.write("made " + ", ".join(found for _, found in made))


RUNS = [SimpleNamespace(id=name, name=name) for name in ("a", "b")]
computed: list[str] = []
method = "scorecam"


def test_a_cancelled_map_is_not_computed_until_it_is_asked_for_again(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tests.dashboard.test_explaining", sys.modules[__name__])
    computed.clear()
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert computed == ["a", "b"]
    assert app.markdown[-1].value == "made a, b"
    from dashboard import explaining, state

    wanted = f"{method} {[run.id for run in RUNS]} {hash(IMAGE.tobytes())}"
    app.session_state[state.CANCELLED] = wanted
    app.run()
    assert [info.value for info in app.info] == ["Cancelled."]
    assert computed == ["a", "b"], "nothing was computed"
    (again,) = app.button
    again.click().run()
    assert computed == ["a", "b"] * 2
    chosen: dict[str, str] = {}
    monkeypatch.setattr(explaining.st, "session_state", chosen)
    explaining._cancel(wanted)
    assert chosen == {state.CANCELLED: wanted}, "what the Cancel button does"
