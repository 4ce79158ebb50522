"""The list of pages and the files agree, and the layers import one way only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.navigation import PAGES, page, sections

ROOT = Path(__file__).resolve().parents[2]


def test_every_page_file_is_listed_and_every_listed_page_has_its_file():
    assert {spec.name for spec in PAGES} == {path.stem for path in (ROOT / "pages").glob("*.py")}


def test_sections_keep_the_order_and_lose_no_page():
    assert [spec for specs in sections().values() for spec in specs] == list(PAGES)
    assert list(sections())[1:] == ["Data", "Experiments", "Results", "Try it"]
    assert page("explore").path == "../pages/explore.py"


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [("fer", {"streamlit", "dashboard", "pages"}), ("dashboard", {"pages"})],
)
def test_imports_point_one_way(folder, forbidden):
    wrong = {str(path): imports(path) & forbidden for path in (ROOT / folder).rglob("*.py")}
    assert not {path: names for path, names in wrong.items() if names}


def test_charts_and_gallery_know_no_streamlit():
    assert "streamlit" not in imports(ROOT / "dashboard" / "charts.py") | imports(
        ROOT / "dashboard" / "gallery.py"
    )


def test_nothing_heavy_is_imported_by_the_library_or_the_light_pages():
    modules = [
        "fer",
        "fer.cli",
        "fer.commands",
        "fer.recipes",
        "fer.runs",
        "fer.training.config",
        "fer.models",
    ]
    modules += ["fer.data.sources", "fer.data.audit", "fer.analysis.statistics", "fer.evaluation.report"]
    modules += ["fer.evaluation.comparison", "dashboard.panels", "dashboard.controls", "dashboard.comparison"]
    modules += ["dashboard.train_settings"]
    code = (
        f"import sys, {', '.join(modules)}; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_library_never_loads_streamlit():
    code = "import sys, fer.cli, fer.commands, fer.runs, fer.recipes; print('streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
