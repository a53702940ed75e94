"""The log in a file: one of several processes replaces it when it is full; no line is lost."""

import fcntl
import multiprocessing
import threading
from pathlib import Path

import pytest

from runtime.log_file import LogFile
from schemas.errors import SettingsError


def write_many(path: Path, name: str, lines: int, max_size: int) -> None:
    log = LogFile(path, max_size)
    for number in range(lines):
        log.write(f"{name} {number:06}\n")


def test_a_full_file_becomes_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "statesys.log"
    log = LogFile(path, 100)
    for number in range(12):
        log.write(f"line {number:04}\n")
    assert path.with_suffix(".lo_").read_text().splitlines() == [f"line {n:04}" for n in range(10)]
    assert path.read_text().splitlines() == ["line 0010", "line 0011"]


def test_a_line_that_is_larger_than_a_file_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "statesys.log"
    log = LogFile(path, 20)
    log.write("short\n")
    log.write("x" * 100 + "\n")
    log.write("short\n")
    assert path.read_text() == "short\n"
    assert path.with_suffix(".lo_").read_text() == "x" * 100 + "\n"


def test_several_processes_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "statesys.log"
    # Two files together hold every line, and the file is replaced once.
    jobs = [
        multiprocessing.get_context("spawn").Process(
            target=write_many, args=(path, f"writer {n}", 300, 10_000)
        )
        for n in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    lines = path.with_suffix(".lo_").read_text().splitlines() + path.read_text().splitlines()
    assert len(lines) == len(set(lines))
    # 900 lines of 16 bytes are 14,400: no third file was needed.
    assert sorted(lines) == sorted(f"writer {n} {i:06}" for n in range(3) for i in range(300))


def test_a_process_that_cannot_replace_a_full_file_does_not_keep_others_from_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "statesys.log"
    # A directory cannot be replaced with a file.
    path.with_suffix(".lo_").mkdir()
    log = LogFile(path, 10)
    log.write("line 1\n")
    log.write("line 2\n")
    assert path.read_text() == "line 1\nline 2\n"
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_line_does_not_wait_for_a_process_that_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "statesys.log"
    log = LogFile(path, 10)
    log.write("line 1\n")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writing = threading.Thread(target=log.write, args=["line 2\n"], daemon=True)
        writing.start()
        writing.join(10)
        assert not writing.is_alive()
    assert path.read_text() == "line 1\nline 2\n"
    log.write("line 3\n")
    assert path.read_text() == "line 3\n"


def test_a_file_that_somebody_moved_or_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "statesys.log"
    log = LogFile(path, 1000)
    log.write("one\n")
    path.unlink()
    log.write("two\n")
    assert path.read_text() == "two\n"


def test_a_file_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="STATESYS_LOG_FILE"):
        LogFile(tmp_path / "file" / "statesys.log", 1000)
