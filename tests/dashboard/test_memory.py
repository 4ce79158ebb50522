"""The server gives memory back: what many visitors took at once is not kept for ever."""

import json
import subprocess
import sys
import tomllib

import pytest

from fer import storage

VISITS = """
import gc, json, sys, threading, time, weakref
import psutil
from dashboard.memory import keep_tidy, trim

if not trim():
    print("null")
    sys.exit()
me, kept = psutil.Process(), []

def visit():
    taken = [bytes(600 + n % 2000) for n in range(20_000)]  # 32 MB in blocks of a table's size
    kept.extend(taken[::500])  # and little of it stays, spread over all of it

class Session:
    # holds itself, as the state of a closed tab does
    def __init__(self):
        self.state = self

gc.disable()
closed = weakref.ref(Session())
before = me.memory_info().rss
for _ in range(3):
    visitors = [threading.Thread(target=visit) for _ in range(8)]
    [visitor.start() for visitor in visitors]
    [visitor.join() for visitor in visitors]
after = me.memory_info().rss
keep_tidy(every=0.2)
until = time.monotonic() + 20
while time.monotonic() < until and (closed() or me.memory_info().rss - before > 0.3 * (after - before)):
    time.sleep(0.1)
assert closed() is None
print(json.dumps([(after - before) / 1e6, (me.memory_info().rss - before) / 1e6]))
"""


def test_pages_are_not_followed_by_a_search_of_all_objects():
    with open(storage.PROJECT / ".streamlit" / "config.toml", "rb") as file:
        assert tomllib.load(file)["runner"]["postScriptGC"] is False


FROZEN = """
import gc, weakref
import pandas
from dashboard.memory import tidy

class Session:
    def __init__(self):
        self.state = self

gc.disable()
tidy(everything=True)
assert gc.get_freeze_count() > 10_000 > len(gc.get_objects()), gc.get_freeze_count()
new = Session()
kept, closed = weakref.ref(new), weakref.ref(Session())
tidy(everything=False)
assert closed() is None and kept() is new
tidy(everything=True)
del new  # garbage that was set aside meanwhile
tidy(everything=False)
assert kept() is not None
tidy(everything=True)
assert kept() is None
import sklearn.ensemble  # as Keras comes with the first model that is opened
later = len(gc.get_objects())
tidy(everything=False)  # and not 30 seconds later
assert later > 10_000 > len(gc.get_objects()), (later, len(gc.get_objects()))
"""


def test_what_is_in_use_is_set_aside_but_not_for_ever():
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, cwd=storage.PROJECT)
    assert done.returncode == 0, done.stderr


def test_memory_of_visitors_goes_back():
    done = subprocess.run(
        [sys.executable, "-c", VISITS], capture_output=True, text=True, check=True, cwd=storage.PROJECT
    )
    grown = json.loads(done.stdout)
    if grown is None:
        pytest.skip("this C library cannot give memory back on request")
    kept, left = grown
    assert left < 0.3 * kept, f"{left:.0f} of {kept:.0f} MB were still held"
