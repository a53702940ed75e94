"""Settings of a site control file as ours, and back; what a loader and the site make of them."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.rules import SiteRules
from runtime.settings import Settings, load_settings
from runtime.site_control import KNOWN, LEFT, Reading, render_settings, settings_of
from runtime.site_settings import DEFAULT, OF_A_FILE, OF_A_LOADER, OWN, SiteSettings
from schemas.errors import SiteControlRefused
from schemas.site_control import read_state_system
from tests.support.paths import DATA, ROOT

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULES = SiteRules.of(Settings())
FRESH = SiteSettings(RULES, {}, frozenset(), DEFAULT)


def block(*properties: str) -> bytes:
    lines = "\n".join(f"PROPERTY {one}" for one in properties)
    return f"BEGIN_COMPONENT\n<SMS_STATE_SYSTEM>\n{lines}\nEND_COMPONENT\n".encode()


def read(raw: bytes) -> Reading:
    return settings_of(read_state_system(raw))


def test_the_printed_block_sets_seven_settings_and_leaves_one() -> None:
    found = read((DATA / "site-control.txt").read_bytes())
    assert found.values == {
        "loader_threads": 4,
        "loader_chunk_size": 256,
        "max_chunks_fetched": 100,
        "resync_check_interval": 60 * MINUTE,
        "min_missing_message_age": 2880 * MINUTE,
        "resync_merge_interval": 72 * HOUR,
        "heartbeat_interval": 15 * MINUTE,
    }
    assert [one.name for one in found.left] == ["Inbox Polling Interval"]
    assert "RabbitMQ delivers" in found.left[0].why
    assert (found.unknown, found.notes) == ([], [])
    assert all(one.number == one.of_2011 for one in found.taken)
    differing = [one.name for one in found.taken if one.number != one.current_branch]
    assert differing == ["Resync Check Interval", "Heartbeat Msg Interval"]


def test_our_defaults_are_those_of_2011_with_the_threads_of_the_machine() -> None:
    defaults = Settings()
    for known in KNOWN:
        if known.setting != "loader_threads":
            assert known.number(getattr(defaults, known.setting)) == known.of_2011


def test_what_we_do_not_know_is_named_and_changes_nothing() -> None:
    found = read(block("<loader  THREADS><><><8>", "<New Thing><REG_SZ><x><0>"))
    assert (found.values, found.unknown) == ({"loader_threads": 8}, ["New Thing"])


def test_of_several_values_the_last_counts_and_is_named() -> None:
    found = read(block("<Loader Threads><><><8>") + block("<LOADER THREADS><><><9>"))
    assert found.values == {"loader_threads": 9}
    assert found.notes == [
        "the state system has several blocks, in lines 1, 5",
        "Loader Threads is there with several values; the last one counts, 9 in line 7",
    ]


def test_a_file_that_is_cut_behind_the_state_system_is_taken_with_a_note() -> None:
    (note,) = read(block("<Loader Threads><><><8>") + b"BEGIN_COMPONENT\n<OTHER>\n").notes
    assert note.startswith("the file ends inside a block COMPONENT")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<Loader Threads><><><65>", "in line 3 is '65': .*less than or equal to 64"),
        ("<Loader Threads><><><0>", "is '0'"),
        ("<Loader Threads><><><>", "is '': a whole number is needed"),
        ("<Loader Threads><><><4.5>", "a whole number"),
        ("<Loader Threads><><><" + "9" * 5000 + ">", "a whole number"),
        ("<Loader Threads><><><\u0664>", "a whole number"),
        ("<Resync Check Interval><><><0>", "greater than"),
        ("<Heartbeat Msg Interval><><><-1>", "no duration"),
        ("<Resync Merge Interval In Hours><><><9999999999>", "longer than"),
        ("<Inbox Polling Interval><><><900>", "has none of these settings: Loader Threads, "),
    ],
)
def test_a_value_that_cannot_be_used_refuses_the_whole_file(line: str, words: str) -> None:
    with pytest.raises(SiteControlRefused, match=words):
        read(block(line))


durations = st.integers(1, 10**5)
written = st.fixed_dictionaries(
    {},
    optional={
        "loader_threads": st.integers(1, 64),
        "loader_chunk_size": st.integers(1, 65536),
        "max_chunks_fetched": st.integers(1, 10000),
        "resync_check_interval": durations.map(lambda n: n * MINUTE),
        "min_missing_message_age": durations.map(lambda n: n * MINUTE),
        "resync_merge_interval": durations.map(lambda n: n * HOUR),
        "heartbeat_interval": durations.map(lambda n: n * MINUTE),
    },
).filter(bool)


@given(written)
def test_what_was_exported_is_imported_as_it_was(values: dict[str, Any]) -> None:
    found = read(render_settings(values).encode())
    assert found.values == values
    assert (found.left, found.unknown, found.notes) == ([], [], [])


def test_a_duration_between_two_numbers_is_not_exported() -> None:
    with pytest.raises(SiteControlRefused, match=r"heartbeat_interval is .* whole minutes"):
        render_settings({"heartbeat_interval": timedelta(seconds=90)})


@given(st.lists(st.text(), max_size=3), st.text())
def test_any_properties_are_taken_or_refused(names: list[str], number: str) -> None:
    lines = [f"<{name}><><><{number}>" for name in [*names, KNOWN[len(names)].name]]
    with suppress(SiteControlRefused):
        read(block(*lines))


def test_the_page_tells_every_setting_that_is_taken_or_left() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for known in KNOWN:
        told = f"| {known.name} | {known.unit} | `{known.setting}` |"
        assert f"{told} {known.of_2011} | {known.current_branch} |" in page
    for name in LEFT:
        assert f"| {name} |" in page


# -- the site, and a loader that starts ------------------------------------------------------


def imported(values: Mapping[str, Any]) -> SiteSettings:
    return FRESH.after_import(values)


FILE = {"loader_threads": 3, "min_missing_message_age": HOUR, "heartbeat_interval": 60 * MINUTE}


def test_a_loader_takes_imported_values_where_it_is_given_none() -> None:
    given = load_settings(loader_threads="7", heartbeat_interval="15m")
    found = imported(FILE).followed_by(given)
    assert found.loader_threads == 7
    assert found.heartbeat_interval == 15 * MINUTE, "given, though it is the default"
    assert found.min_missing_message_age == HOUR
    assert found.model_fields_set == given.model_fields_set
    assert FRESH.followed_by(given) == given


def test_defaults_do_not_replace_what_was_imported_and_given_rules_do() -> None:
    site = imported(FILE)
    assert site.after_start(SiteRules.of(site.followed_by(Settings())), ()) == site
    assert site.after_start(RULES, ()) == site, "imported after the loader has read the row"
    rules = RULES._replace(heartbeat_interval=5 * MINUTE)
    found = site.after_start(rules, {"heartbeat_interval", "loader_threads"})
    assert found.rules == rules._replace(min_missing_message_age=HOUR)
    assert found.imported == {"loader_threads", "min_missing_message_age"}
    assert (found.origin_of("heartbeat_interval"), found.origin) == (OF_A_LOADER, OF_A_LOADER)
    assert found.origin_of("min_missing_message_age") == OF_A_FILE


def test_a_rule_that_was_not_imported_is_that_of_the_loader_that_started_last() -> None:
    found = imported(FILE).after_start(RULES._replace(resyncs_per_check=9), {"resyncs_per_check"})
    assert found.rules.resyncs_per_check == 9
    again = found.after_start(RULES, ())
    assert (again.rules.resyncs_per_check, again.imported) == (500, frozenset(FILE))


def test_another_import_takes_the_place_of_the_first() -> None:
    site = imported(FILE).after_import({"max_chunks_fetched": 5})
    assert site.own == {"max_chunks_fetched": 5}
    assert site.imported == {"max_chunks_fetched"}
    assert site.rules == RULES


def test_without_its_import_a_site_has_its_defaults() -> None:
    site = imported({**FILE, **dict.fromkeys(OWN, 5)})
    assert site.without_import() == FRESH
