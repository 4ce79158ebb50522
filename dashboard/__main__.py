"""Set everything up and open the dashboard: `python dashboard`.

Runs with nothing but Python's standard library. This file is also read by Pythons too old for the
project, so it keeps to plain syntax until `run_on_supported` has passed.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [os.path.dirname(HERE)] + [path for path in sys.path if os.path.abspath(path) != HERE]

from dashboard.interpreter import run_on_supported  # noqa: E402

if __name__ == "__main__":
    run_on_supported(HERE)
    from dashboard.launcher import main

    sys.exit(main())
