"""Tables on stdout."""

import sys
from uuid import uuid4

import pytest

from console.output import stdout, table


def test_a_narrow_terminal_breaks_no_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    ids = [str(uuid4()), str(uuid4())]
    stdout().print(table(["client", "request"], [ids]))
    assert capsys.readouterr().out.splitlines()[1].split() == ids
