"""Tables on stdout."""

import sys
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from rich.text import Text

from console.output import facts, stdout, table


def test_a_narrow_terminal_breaks_no_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    ids = [str(uuid4()), str(uuid4())]
    stdout().print(table(["client", "request"], [ids]))
    assert capsys.readouterr().out.splitlines()[1].split() == ids


def test_columns_are_as_wide_as_their_widest_cell_and_markup_is_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("a", 1234567, Text("red", style="red")), ("日本", True, None), ("[bold]", 7, "z")]
    stdout().print(table(["name", "n", "last"], rows, title="found", right=["n"]))
    stdout().print(facts([("one", 1), ("another", datetime(2026, 1, 2, tzinfo=UTC))]))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "found",
        "name            n  last",
        "a       1,234,567  red",
        "日本          yes",
        "[bold]          7  z",
        "one      1",
        "another  2026-01-02 00:00:00",
    ]
