"""A log that cannot be written: nothing raises or waits; lost lines are counted and reported."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.log_stream import LogStream
from runtime.settings import environment

#: Bytes; more than any pipe holds.
LARGE = 4 * 1024 * 1024


class Pipe:
    """A pipe whose ends can be closed at any time."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def text(self) -> str:
        """Read what the pipe holds now."""
        os.set_blocking(self.reader, False)
        try:
            return os.read(self.reader, LARGE).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Close the ends that are open."""
        for end in (self.reader, self.writer):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_what_can_be_written_is_written_as_it_is(pipe: Pipe) -> None:
    stream = io.TextIOWrapper(
        LogStream(pipe.writer),  # type: ignore[type-var]
        encoding="utf-8",
        line_buffering=True,
    )
    print("one", "två", file=stream)
    print("three", file=stream)
    assert pipe.text() == "one två\nthree\n"


def test_a_full_pipe_holds_nobody_and_is_told_when_it_has_room(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer)
    for _ in range(5000):
        stream.write(b"x" * 99 + b"\n")
    lost = stream.unwritten()
    assert lost is not None
    written = pipe.text()
    assert written.count("\n") == 5000 - lost.lines
    stream.write(b"after\n")
    assert stream.unwritten() is None
    told, after = pipe.text().splitlines()
    assert told.startswith(f"{lost.lines} lines since {lost.since.isoformat(timespec='seconds')}")
    assert after == "after"


def test_a_terminal_that_shows_nothing_holds_nobody() -> None:
    # In a process of its own, so that the test can end it if it hangs.
    program = (
        "import sys\n"
        "from runtime.standard_streams import set_up_standard_streams\n"
        "set_up_standard_streams()\n"
        "for _ in range(2000): print('x' * 99, file=sys.stderr)\n"
        "from runtime.log_stream import unwritten_lines\n"
        "print(unwritten_lines().lines, sys.stderr.isatty())\n"
    )
    screen, terminal = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=True,
            timeout=60,
        )
    finally:
        os.close(terminal)
        os.close(screen)
    lost, is_terminal = done.stdout.split()
    assert 0 < int(lost) < 2000
    assert is_terminal == "True"


def test_what_is_lost_is_told_without_another_line_too(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer)
    stream.write(b"x" * LARGE)
    assert stream.unwritten() is not None
    pipe.text()
    assert stream.unwritten() is None
    assert "1 lines since" in pipe.text()


def test_a_line_that_is_there_in_part_does_not_spoil_the_next(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer)
    stream.write(b"x" * LARGE + b"\n")
    assert set(pipe.text()) == {"x"}
    stream.write(b"next\n")
    assert pipe.text().startswith("\n1 lines")


def test_a_reader_that_has_ended_raises_nothing(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer)
    os.close(pipe.reader)
    stream.write(b"one\n")
    stream.write(b"two\n")
    lost = stream.unwritten()
    assert lost is not None
    assert lost.lines == 2


def test_the_pipe_of_others_stays_as_it_was(pipe: Pipe) -> None:
    LogStream(pipe.writer)
    assert os.get_blocking(pipe.writer)


def test_a_descriptor_that_somebody_made_non_blocking_is_no_error(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    stream = LogStream(pipe.writer)
    stream.write(b"x" * LARGE)
    assert stream.unwritten() is not None


def _statesys(arguments: str, redirection: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m statesys {arguments} {redirection}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(home=home),
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&- 2>&-", "2>&1 >/dev/null | :"])
@pytest.mark.parametrize(
    ("arguments", "code"), [("topics", 0), ("down", 0), ("nonsense", 2), ("health relay", 1)]
)
def test_a_command_says_by_its_exit_code_what_stderr_cannot(
    tmp_path: Path, arguments: str, code: int, redirection: str
) -> None:
    # The exit code of a pipeline is that of its last program.
    expected = 0 if redirection.endswith(":") else code
    done = _statesys(arguments, redirection, tmp_path)
    assert (done.returncode, done.stderr) == (expected, "")


@pytest.mark.parametrize("arguments", ["topics", "topics --json", "--help", "--version"])
def test_a_closed_stdout_is_one_sentence(tmp_path: Path, arguments: str) -> None:
    done = _statesys(arguments, ">&-", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_the_line_that_tells_what_is_lost_is_a_line_of_the_log(pipe: Pipe) -> None:
    program = (
        "import structlog, sys\n"
        "from runtime.standard_streams import set_up_standard_streams\n"
        "from runtime.logs import set_up_logs\n"
        "set_up_standard_streams()\n"
        "set_up_logs(form='json', level='info')\n"
        "for number in range(5000): structlog.get_logger().info('test', number=number)\n"
        "print('full', flush=True)\n"
        "sys.stdin.readline()\n"
        "structlog.get_logger().info('again')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=pipe.writer,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "full\n"
        written = [json.loads(line) for line in pipe.text().splitlines()]
        child.stdin.write("\n")
        child.stdin.close()
        assert child.wait(60) == 0
    lost, again = (json.loads(line) for line in pipe.text().splitlines())
    assert (lost["event"], lost["lines"]) == ("log.lines_lost", 5000 - len(written))
    assert {"level", "timestamp", "since"} <= set(lost)
    assert again["event"] == "again"
