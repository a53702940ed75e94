"""Python's cyclic garbage collector, set for workers."""

import gc

#: Containers made before the collector looks at the youngest. A loader makes some thousand for
#: each chunk, hardly one of them in a cycle, and the default of 700 had it look several times a
#: chunk: a fifth of the loader's CPU time. The memory at stake is a few MiB.
_YOUNGEST = 50_000


def collect_rarely() -> None:
    """Leave what the program is made of alone for good, and look at the rest rarely.

    Call it once, when everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, *gc.get_threshold()[1:])
