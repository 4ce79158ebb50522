"""What takes how much disk, against a budget, and what may be cleaned."""

import pandas as pd
import streamlit as st

from dashboard import cached, panels
from fer import leftovers
from fer.data.dataset import Dataset
from fer.disk_use import budget


def view(_: Dataset) -> None:
    """Bytes of every data set and run, the budget, and leftovers with a button to remove them."""
    used = cached.disk_use()
    total, limit = sum(use.bytes for use in used), budget()
    text = f"{total / 1e9:.2f} of {limit / 1e9:.0f} GB in use"
    st.progress(min(total / limit, 1.0), text=text)
    if total > limit:
        st.warning(f"The cache is larger than its budget ({text}).", icon=":material/warning:")
    rows = [{"kind": use.kind, "name": use.name, "disk (MB)": use.bytes / 1e6} for use in used]
    columns = {  # narrow, so that the name has the rest, on a phone too
        "kind": st.column_config.TextColumn(width=75),
        "disk (MB)": st.column_config.NumberColumn(format="%.1f", width=85),
    }
    panels.table(pd.DataFrame(rows), "disk", column_config=columns)
    st.caption("FER_DISK_BUDGET sets the budget in GB. Data sets are deleted under Imported, runs on Runs.")
    found = [problem for problem in leftovers.leftovers() if problem.cleanable]
    st.subheader("Leftovers", anchor=False)
    if not found:
        st.write("Nothing was left lying around.")
        return
    frame = pd.DataFrame([{"what": p.what, "remedy": p.remedy, "where": _below_cache(p.path)} for p in found])
    panels.table(frame, "leftovers")
    st.button(f"Remove these {len(found)}", icon=":material/mop:", on_click=_remove, args=(found,))


def _below_cache(path: str) -> str:
    """The last two parts: enough to know it, and no path of this computer."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _remove(found: list[leftovers.Problem]) -> None:
    with panels.errors_shown():
        gone = leftovers.remove(found)
        cached.disk_use.clear()
        st.toast(f"{len(gone)} removed.", icon=":material/mop:")
