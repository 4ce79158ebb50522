"""Memory of a server that runs for days: what the pages of visitors took goes back to the system.

Streamlit would look through all objects after each run of a page (`runner.postScriptGC`, off in
`.streamlit/config.toml`), which with the libraries loaded takes longer than to draw most pages; here it is
done twice a minute, for all visitors at once, and more often for what is new.
"""

import ctypes
import gc
import itertools
import sys
import threading

EVERY = 5.0  # seconds
ALL = 6  # every so many times all objects are looked through, else only those made since


def trim() -> bool:
    """Return freed memory to the system now; whether this C library can (glibc can).

    Every run of a page is a thread of its own, and glibc keeps the memory of a thread that ended for the next
    one unless it is free to the very end of a heap, which one small block that stays prevents. See
    malloc_trim(3); the pages in use are not touched.
    """
    if not sys.platform.startswith("linux"):
        return False
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # ctypes lets other threads run meanwhile
    if give_back is None:  # musl
        return False
    give_back(0)
    return True


def tidy(everything: bool) -> None:
    """Collect garbage among all objects, or only among those made since that was done last; trim.

    `gc.freeze` sets aside what is in use, so that the frequent collections stay short: with ten visitors
    some 10 ms, not 135. So do those after every run of a page once a model was opened: Streamlit calls
    Keras's `clear_session` then, which collects garbage whatever `runner.postScriptGC` says.
    """
    if everything:
        gc.unfreeze()
    gc.collect()
    gc.freeze()
    if everything:
        trim()


def keep_tidy(every: float = EVERY) -> threading.Event:
    """Tidy every so many seconds in the background until the event is set."""
    ended = threading.Event()

    def repeat() -> None:
        for times in itertools.count():
            if ended.wait(every):
                return
            tidy(everything=times % ALL == 0)

    threading.Thread(target=repeat, name="memory", daemon=True).start()
    return ended
