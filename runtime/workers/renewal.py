"""Work in short-lived threads: the memory that a library keeps for a thread is freed with it.

lxml keeps every element and attribute name that a thread has ever read, also those of refused
documents. Real reports share a few dozen names. Reports with ever new names made a process grow by
three times their size, and it never shrank again.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

#: Bytes of XML after which a thread is renewed. At worst its names take about 200 MiB by then, and
#: a new thread costs nothing compared with reading that much.
RENEW_AFTER = 64 * 1024 * 1024
#: Seconds within which a signal is noticed.
_NOTICE_SIGNALS = 0.1


def run_until_renewal(name: str, work: Callable[[], T]) -> T:
    """Call a function in a new thread, and wait for it.

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

    # A daemon: a thread that hangs must not keep the process alive.
    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    while thread.is_alive():
        # With a timeout: Python handles signals in the main thread, and that thread notices one
        # sent to another thread only when it runs again.
        thread.join(_NOTICE_SIGNALS)
    return future.result()
