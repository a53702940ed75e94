"""Sessions that are busy, without a server."""

import threading

import pytest

from schemas.errors import DatabaseUnavailable
from web.readers import _MOST_WAITING, Readers


def test_a_request_is_refused_at_once_when_many_wait_for_a_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.readers._WAIT", 60)
    readers = Readers("postgresql://u:p@127.0.0.1:1/d", sessions=1, timeout=1000)
    refused = []

    def ask() -> None:
        try:
            with readers.snapshot():
                pass
        except DatabaseUnavailable as error:
            refused.append(str(error))

    waiting = [threading.Thread(target=ask) for _ in range(_MOST_WAITING)]
    with readers._free:
        for one in waiting:
            one.start()
        while readers._waiting < _MOST_WAITING:
            pass
        with pytest.raises(DatabaseUnavailable, match="busy"), readers.snapshot():
            pass
        assert not refused
    for one in waiting:
        one.join()
    # Each had its turn; the database is away.
    assert len(refused) == _MOST_WAITING
    assert not any("busy" in one for one in refused)
