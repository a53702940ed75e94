"""A thread for a while: what a library keeps for each thread ends with it.

lxml keeps every element and attribute name that a thread has ever read, also those of documents
that were refused. Real reports share a few dozen; reports with ever new ones made a process grow by
three times their size, for good.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

#: Bytes of XML after which a thread is renewed: at worst its names take about 200 MiB by then, and
#: another thread costs nothing beside reading that much.
RENEW_AFTER = 64 * 1024 * 1024
#: Seconds after which a signal is noticed at the latest.
_NOTICE_SIGNALS = 0.1


def run_until_renewal(name: str, work: Callable[[], T]) -> T:
    """Do something in a thread of its own, and wait for it.

    Args:
        name: of the thread.
        work: its result is returned; what it raises is raised.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 (it is raised where the work is waited for)
            future.set_exception(error)

    # Who waits for it decides how long a process may live; a thread that hangs must not.
    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    while thread.is_alive():
        # Not for good: the kernel may hand a signal to any thread, Python handles it in the main
        # thread, and that notices only when it has something to do.
        thread.join(_NOTICE_SIGNALS)
    return future.result()
