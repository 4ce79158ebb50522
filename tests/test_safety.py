"""What must not be written anywhere in the program: unsafe loading, code from data, HTML of users."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.storage import PROJECT

SOURCES = sorted(path for part in ("fer", "dashboard", "pages") for path in (PROJECT / part).rglob("*.py"))
SCRIPTS = sorted((PROJECT / "dashboard").rglob("*.js"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas.read_pickle"}
CALLS = {
    "eval": "runs text",
    "exec": "runs text",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "yaml.load": "makes any object",
    "torch.load": "unpickles",
    "pandas.read_pickle": "unpickles",
    "pd.read_pickle": "unpickles",
    "keras.config.enable_unsafe_deserialization": "runs code of models",
    "enable_unsafe_deserialization": "runs code of models",
    "tempfile.mktemp": "can be foreseen",
    "np.fromstring": "wraps 256 to 0",
}
LOADERS = ("keras.saving.load_model", "keras.models.load_model")


def findings(text: str) -> Iterator[str]:
    """Why a source text is not safe."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            for name in [getattr(node, "module", None) or "", *names]:
                if name.split(".")[0] in MODULES:
                    yield f"line {node.lineno} imports {name}"
        if isinstance(node, ast.Constant) and node.value == "unsafe_allow_html":
            yield f"line {node.lineno} names unsafe_allow_html"
        if isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
    if name in CALLS:
        yield f"line {node.lineno} calls {name}, which {CALLS[name]}"
    if settings.get("safe_mode", "True") != "True" or (name in LOADERS and "safe_mode" not in settings):
        yield f"line {node.lineno} loads a model without safe mode"
    if settings.get("allow_pickle", "False") != "False":
        yield f"line {node.lineno} lets NumPy unpickle"
    if settings.get("shell", "False") != "False":
        yield f"line {node.lineno} goes through a shell"
    if settings.get("unsafe_allow_html", "False") != "False" or "unsafe_allow_javascript" in settings:
        yield f"line {node.lineno} puts HTML of users on a page"
    fixed = bool(node.args) and isinstance(node.args[0], ast.Constant)  # one member, named by us
    checked = fixed or settings.get("filter") == "'data'"  # tarfile's own check of paths and links
    if name == "shutil.unpack_archive" or (name.endswith((".extractall", ".extract")) and not checked):
        yield f"line {node.lineno} unpacks an archive into a folder"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_nothing_unsafe_is_written(path: Path):
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_of_pages_make_no_html_of_text(path: Path):
    text = re.sub(r"innerHTML = '[^'$]*';", "", path.read_text(encoding="utf-8"))  # a fixed piece of HTML
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)", text
    )


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.saving.load_model(path)",
        "load_model(path, safe_mode=unsafe)",
        "keras.config.enable_unsafe_deserialization()",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "eval(text)",
        "st.markdown(name, unsafe_allow_html=True)",
        "archive.extractall(folder)",
    ],
)
def test_the_check_sees_what_it_is_for(text: str):
    assert list(findings(text))


def test_html_is_drawn_in_one_place_whose_texts_are_escaped():
    """`st.html` takes only what `dashboard.gallery` made."""
    places = [str(path.name) for path in SOURCES if "st.html(" in path.read_text(encoding="utf-8")]
    assert places == ["panels.py"]


def test_tables_are_shown_in_one_place_whose_cells_are_inert():
    """The toolbars of `st.dataframe` and `st.data_editor` save what they were given; `st.table` is unused."""
    calls = re.compile(r"\bst\.table\(|\.(dataframe|data_editor)\(")
    places = {
        f"{path.name}: {found.group()}"
        for path in SOURCES
        for found in calls.finditer(path.read_text(encoding="utf-8"))
    }
    assert places == {"panels.py: .dataframe(", "panels.py: .data_editor("}
