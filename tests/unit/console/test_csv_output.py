"""CSV that a spreadsheet shows and never runs."""

import csv
import io
from datetime import UTC, datetime
from uuid import UUID

import pytest

from console.csv_output import print_csv


def printed(capsys: pytest.CaptureFixture[str], *row: object) -> list[str]:
    print_csv([f"c{n}" for n in range(len(row))], [row])
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert len(lines) == 2
    return lines[1]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_text_that_a_spreadsheet_would_run_is_shown_as_text(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert printed(capsys, text) == [f"'{text}"]


def test_what_a_terminal_would_obey_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "\x1b[31m\u202e", "\r=1") == ["\\x1b[31m\\u202e", "\\r=1"]


def test_numbers_stay_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, -1, 2.5) == ["-1", "2.5"]


def test_commas_quotes_and_lines_stay_in_their_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, 'a,"b"', "two\nlines") == ['a,"b"', "two\nlines"]


def test_nothing_moments_and_ids_are_texts(capsys: pytest.CaptureFixture[str]) -> None:
    row = printed(capsys, None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UUID(int=1))
    assert row == ["", "2026-01-02T03:04:05+00:00", "00000000-0000-0000-0000-000000000001"]
