"""Tables on stdout."""

import sys
from uuid import uuid4

import pytest

from console.output import size, stdout, table


def test_a_narrow_terminal_breaks_no_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    ids = [str(uuid4()), str(uuid4())]
    stdout().print(table(["client", "request"], [ids]))
    assert capsys.readouterr().out.splitlines()[1].split() == ids


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (int(3.44 * 1024**2), "3.4 MiB"),
        (52 * 1024**3, "52 GiB"),
        (5000 * 1024**4, "5,000 TiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_fits(count: int, shown: str) -> None:
    assert size(count) == shown
