"""The server gives memory back: what many visitors took at once is not kept for ever."""

import json
import subprocess
import sys

import pytest

from fer import storage

VISITS = """
import json, sys, threading, time
import psutil
from dashboard.memory import keep_trimming, trim

if not trim():
    print("null")
    sys.exit()
me, kept = psutil.Process(), []

def visit():
    taken = [bytes(600 + n % 2000) for n in range(20_000)]  # 32 MB in blocks of a table's size
    kept.extend(taken[::500])  # and little of it stays, spread over all of it

before = me.memory_info().rss
for _ in range(3):
    visitors = [threading.Thread(target=visit) for _ in range(8)]
    [visitor.start() for visitor in visitors]
    [visitor.join() for visitor in visitors]
after = me.memory_info().rss
keep_trimming(every=0.2)
time.sleep(1)
print(json.dumps([(after - before) / 1e6, (me.memory_info().rss - before) / 1e6]))
"""


def test_memory_of_visitors_goes_back():
    done = subprocess.run(
        [sys.executable, "-c", VISITS], capture_output=True, text=True, check=True, cwd=storage.PROJECT
    )
    grown = json.loads(done.stdout)
    if grown is None:
        pytest.skip("this C library cannot give memory back on request")
    kept, left = grown
    assert left < 0.3 * kept, f"{left:.0f} of {kept:.0f} MB were still held"
