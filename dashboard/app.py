"""Entry file of the Streamlit app: page settings and navigation, nothing else."""

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboard import cached, navigation, panels

# A picture of our own: browsers would fetch one of Google's symbols from Google.
icon = Path(__file__).with_name("icon.svg")
st.set_page_config(page_title="FER-2013 dashboard", page_icon=icon, layout="wide")

chosen = st.navigation(
    {
        section: [
            st.Page(
                spec.path, title=spec.title, icon=spec.icon, url_path=spec.name, default=spec.name == "home"
            )
            for spec in specs
        ]
        for section, specs in navigation.sections().items()
    }
)
navigation.follow_address(chosen.url_path)
cached.queue_served()
with panels.errors_shown():
    chosen.run()
