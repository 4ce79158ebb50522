"""The next batch is made while the processor or GPU works on this one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fer import backend

Made = TypeVar("Made")


def ahead(make: Callable[[int], Made], first: int, steps: int) -> Iterator[tuple[int, Made]]:
    """(step, make(step)) for first ≤ step < steps; `make` of the next step runs in a thread meanwhile.

    `make` must depend on the step alone, so that the values are those of a plain loop. An error in it is
    raised where its value would have come. Under PyTorch it is the plain loop: there the default device
    belongs to the thread that set it.
    """
    if backend.backend_name() == "torch":
        yield from ((step, make(step)) for step in range(first, steps))
        return
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        upcoming = pool.submit(make, first) if first < steps else None
        for step in range(first, steps):
            assert upcoming is not None
            current = upcoming.result()
            upcoming = pool.submit(make, step + 1) if step + 1 < steps else None
            yield step, current
