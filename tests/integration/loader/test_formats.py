"""Relays and loaders of two releases share the queues: nothing is lost, and the log says so."""

import csv
from pathlib import Path

import pytest

from schemas import smx
from schemas.smx import FORMAT
from schemas.topology import DEAD, REPORTS
from tests.support.paths import DATA
from tests.support.processes import NORMAL, Program, batch, drain, fill, ready, take_all
from tests.support.world import Tables, message, report

#: Batches of the release without formats, and the rows that its loader stored for them.
OLD = [path.read_bytes() for path in sorted((DATA / "batches").glob("without-format-*.xml"))]
with (DATA / "batches" / "without-format.csv").open(encoding="utf-8", newline="") as _lines:
    OLD_ROWS = {tuple(row.values()) for row in csv.DictReader(_lines)}
#: Documents that format 2 allowed -> state id and serial that the loader reads.
NEW = {
    "unsigned_state_id.xml": (2147942405, 1),
    "fsp_site_element.xml": (301, None),
    "utf16_bom_nul_terminated.xml": (2, 1),
}


def rows(tables: Tables) -> set[tuple[str, ...]]:
    """The stored rows, in the form of `OLD_ROWS`."""
    found = tables.rows(
        "SELECT client_id, serial, serial_text, state_id, encode(digest, 'hex') FROM state_message"
    )
    return {tuple("" if value is None else str(value) for value in row) for row in found}


def test_a_new_relay_and_a_new_loader_load_what_old_relays_left_in_the_queues(
    amqp_url: str, database_url: str, tables: Tables, tmp_path: Path
) -> None:
    assert len(OLD) == 4
    fill(amqp_url, OLD)
    fill(amqp_url, [(DATA / name).read_bytes() for name in NEW], queue=REPORTS)
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    for role in ("relay", "loader"):
        with Program(tmp_path / f"{role}.log", role, "run", "--exit-when-empty", **urls) as worker:
            assert worker.end() == 0, worker.text

    found = rows(tables)
    assert found >= OLD_ROWS, "with the very digests of the old loader"
    new = {(int(state), int(serial) if serial else None) for _, serial, _, state, _ in found}
    assert new >= set(NEW.values())
    assert len(found) == len(OLD_ROWS) + len(NEW)
    assert ready(amqp_url, DEAD) == 0

    # Batches that the old loader had loaded but not acknowledged come again.
    fill(amqp_url, OLD)
    drain(amqp_url, database_url)
    assert rows(tables) == found
    assert tables.rows("SELECT count(*) FROM state_message") == [(len(found),)]


def test_an_old_loader_says_that_a_batch_is_newer_and_an_upgraded_one_loads_it(
    amqp_url: str,
    database_url: str,
    tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, newer = batch(report(message(1))), batch(report(message(2)))
    newer = newer.replace(f'Format="{FORMAT}"'.encode(), f'Format="{FORMAT + 1}"'.encode())
    fill(amqp_url, [newer, good])
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    with Program(tmp_path / "log", "loader", "run", "--exit-when-empty", **urls) as loader:
        assert loader.end() == 0, loader.text

    (refused,) = loader.events("loader.message_refused")
    assert refused["reason"] == "newer_format"
    assert f"format {FORMAT + 1}" in refused["detail"]
    assert "replay" in refused["detail"]
    assert tables.client().highest_serial == 1, "its neighbour is loaded"

    replay = ("dead", "replay", "--reason", "newer_format")
    with Program(tmp_path / "replay", *replay, **urls) as command:
        assert command.end() == 0, command.text
    (again,) = take_all(amqp_url, NORMAL)
    assert again.body == newer
    # Only the format number of the next release matters here.
    monkeypatch.setattr(smx, "FORMAT", FORMAT + 1)
    fill(amqp_url, [again.body])
    drain(amqp_url, database_url)
    assert tables.client().highest_serial == 2
    assert ready(amqp_url, DEAD) == 0
