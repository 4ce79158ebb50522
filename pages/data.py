"""Data sets: bring faces in, see what was imported, check it for duplicates and leaks."""

from dashboard import data_page, panels

panels.heading("data")
dataset = panels.choose_dataset()
if dataset is not None:
    view = data_page.choose_view()
    data_page.VIEWS[view](dataset)
