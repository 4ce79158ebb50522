"""Picture every page: wide and narrow, light and dark, from top to bottom.

    python -m tests.browser.screenshots --out shots                  all pages, own server on FER_CACHE
    python -m tests.browser.screenshots --out shots --pages explore,train
    python -m tests.browser.screenshots --out shots --url http://localhost:8501 --pages "compare?runs=a,b"

Writes `<page>-<width>-<light|dark>.png`, and the server's tracebacks in `server.log`; ends with status 1
if a page shows an exception.
"""

import argparse
import re
import sys
from contextlib import nullcontext
from pathlib import Path

from dashboard.navigation import PAGES
from fer.storage import cache_directory
from tests.browser import driver


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--pages", default=",".join(page.name for page in PAGES), help="names, queries allowed"
    )
    parser.add_argument("--url", help="a running dashboard (default: start one on FER_CACHE)")
    parser.add_argument("--widths", default="1440,420")
    parser.add_argument("--schemes", default="light,dark")
    options = parser.parse_args()
    # Commas separate pages, but also values within a query: split only before a page's name.
    names = "|".join(page.name for page in PAGES)
    pages = re.split(rf",(?=(?:{names})\b)", options.pages)
    server = (
        nullcontext(options.url)
        if options.url
        else driver.serving(cache_directory(), options.out / "server.log")
    )
    options.out.mkdir(parents=True, exist_ok=True)
    broken = 0
    with server as url, driver.launched() as browser:
        for width in map(int, options.widths.split(",")):
            for scheme in options.schemes.split(","):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                for name in pages:
                    driver.visit(page, f"{url}/{'' if name == 'home' else name}")
                    path = options.out / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}-{width}-{scheme}.png"
                    driver.shoot(page, path)
                    try:
                        driver.assert_no_exception(page)
                    except AssertionError as error:
                        broken += 1
                        print(error, file=sys.stderr)
                    print(path)
                context.close()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
