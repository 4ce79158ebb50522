"""Data sets: bring faces in, see what was imported, check it for duplicates and leaks."""

import streamlit as st

from dashboard import data_page, panels

panels.heading("data")
dataset = panels.choose_dataset()
listing, bring, check = st.tabs(["Imported", "Import", "Audit"])
with listing:
    data_page.listing(dataset)
with bring:
    data_page.import_form()
with check:
    data_page.audit(dataset)
