"""`statesys settings import` and `export`: a site control file becomes the settings of the site."""

import json
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runtime.rules import SiteRules
from runtime.settings import Settings
from schemas.errors import ExitCode
from tests.integration.console.conftest import Run
from tests.support.paths import DATA
from tests.support.processes import PATIENCE, Program
from tests.support.waiting import wait_until

DEFAULTS = SiteRules.of(Settings()).as_text()
PRINTED = DATA / "site-control.txt"
#: Of the Current Branch, with other threads and chunks.
MODERN = """\
BEGIN_COMPONENT
\t<SMS_STATE_SYSTEM>
\t<6>
\t<SERVER>
\tPROPERTY <Heartbeat Msg Interval><><><60>
\tPROPERTY <Inbox Polling Interval><><><900>
\tPROPERTY <Loader Chunk Size><><><128>
\tPROPERTY <Loader Threads><><><1>
\tPROPERTY <Max Chunks Fetched><><><50>
\tPROPERTY <Min Missing Message Age><><><10080>
\tPROPERTY <New Thing><><><1>
\tPROPERTY <Resync Check Interval><><><15>
\tPROPERTY <Retry Config><REG_SZ><<Config><Retry PatternID="0">7200</Retry></Config>><0>
END_COMPONENT
"""
RULES = {
    "heartbeat_interval": "1h",
    "min_missing_message_age": "7d",
    "resync_check_interval": "15m",
}


@pytest.fixture
def modern(tmp_path: Path) -> Path:
    file = tmp_path / "sitectrl.ct0"
    file.write_text(MODERN.replace("\n", "\r\n"), encoding="utf-16")
    return file


def site(run: Run, environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Name -> value and origin of what the site keeps."""
    done = run("settings", "--site", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return {one["name"]: (one["value"], one["origin"]) for one in json.loads(done.stdout)["site"]}


def here(run: Run, environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    done = run("settings", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return {one["name"]: (one["value"], one["origin"]) for one in json.loads(done.stdout)}


def status(run: Run, environment: dict[str, str]) -> Any:
    done = run("status", "--json", env=environment)
    return json.loads(done.stdout)["database"]["site"]


def start(environment: dict[str, str], log: Path, *flags: str, **variables: str) -> Program:
    urls = {
        "amqp_url": environment["STATESYS_AMQP_URL"],
        "database_url": environment["STATESYS_DATABASE_URL"],
    }
    loader = Program(log, "loader", "run", *flags, **urls, **variables)
    loader.await_event("loader.consuming")
    return loader


def test_an_import_shows_what_it_takes_what_it_leaves_and_what_it_does_not_know(
    run: Run, environment: dict[str, str], modern: Path
) -> None:
    dry = run("settings", "import", modern, "--dry-run", env=environment)
    assert "nothing was changed (--dry-run)" in dry.stderr
    assert {origin for _, origin in site(run, environment).values()} == {"default"}
    done = run("settings", "import", modern, env=environment)
    assert done.returncode == 0, done.stderr
    assert dry.stdout == done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "Heartbeat Msg Interval 60 minutes heartbeat_interval 1h 15 the same" in lines
    assert any(line.startswith("Inbox Polling Interval 900 a folder") for line in lines)
    assert any(line.startswith('Retry Config <Config><Retry PatternID="0">') for line in lines)
    assert lines[-1] == "New Thing"
    assert "6 settings are the site's now" in done.stderr
    assert "not in the file: Resync Merge Interval In Hours" in done.stderr


def test_it_becomes_the_row_of_the_site_with_its_origin(
    run: Run, environment: dict[str, str], modern: Path
) -> None:
    done = run("settings", "import", modern, "--json", env=environment)
    shown = json.loads(done.stdout)
    assert shown["written"] is True
    assert len(shown["taken"]) == 6
    found = site(run, environment)
    imported = {name for name, (_, origin) in found.items() if origin == "site control file"}
    assert imported == {*RULES, "loader_threads", "loader_chunk_size", "max_chunks_fetched"}
    assert found["resyncs_per_check"][0] == "500"
    told = status(run, environment)
    assert told["rules"] == {**DEFAULTS, **RULES}
    assert told["written"]["origin"] == "site control file"
    assert here(run, environment)["loader_chunk_size"] == ("128", "site control file")
    variable = {"STATESYS_LOADER_CHUNK_SIZE": "64"}
    chunk = here(run, {**environment, **variable})["loader_chunk_size"]
    assert chunk == ("64", "STATESYS_LOADER_CHUNK_SIZE")


def test_a_running_loader_follows_its_rules_and_one_that_starts_takes_the_rest(
    run: Run, environment: dict[str, str], modern: Path, tmp_path: Path
) -> None:
    with start(environment, tmp_path / "before", "--resync-check-interval", "1s") as before:
        modern.write_text(MODERN.replace("Check Interval><><><15", "Check Interval><><><1"))
        assert run("settings", "import", modern, env=environment).returncode == 0
        before.await_event("loader.follows_other_rules", holding='"heartbeat_interval": "1h"')
        (named,) = status(run, environment)["differing"]
        assert named["rules"] == {"resync_check_interval": "1s"}, "only what it was given"
        before.send(signal.SIGTERM)
        assert before.end() == 0
    with start(environment, tmp_path / "after", "--chunk-size", "99") as after:
        taken = after.await_event("loader.site_settings_taken")
        assert (taken["loader_threads"], taken["heartbeat_interval"]) == ("1", "1h")
        assert "loader_chunk_size" not in taken
        assert after.await_event("loader.consuming")["threads"] == 1
        assert after.events("loader.rules_written") == []
        assert after.events("loader.follows_other_rules") == []
        assert status(run, environment)["differing"] == []

        def used() -> dict[str, str]:
            done = run("settings", "--site", "--json", env=environment)
            return {one["name"]: one["value"] for one in json.loads(done.stdout)["settings"]}

        wait_until(
            lambda: used().get("loader_threads") == "1", timeout=PATIENCE, what="its heartbeat"
        )
        assert (used()["max_chunks_fetched"], used()["loader_chunk_size"]) == ("50", "99")


def test_a_rule_that_a_loader_is_given_becomes_the_sites_again_and_no_other(
    run: Run, environment: dict[str, str], modern: Path, tmp_path: Path
) -> None:
    assert run("settings", "import", modern, env=environment).returncode == 0
    with start(environment, tmp_path / "one", heartbeat_interval="20m"):
        found = site(run, environment)
    assert found["heartbeat_interval"] == ("20m", "loader")
    assert found["min_missing_message_age"] == ("7d", "site control file")
    assert found["loader_threads"] == ("1", "site control file")


def test_what_was_exported_is_imported_as_it_was(
    run: Run, environment: dict[str, str], modern: Path, tmp_path: Path
) -> None:
    assert run("settings", "import", modern, env=environment).returncode == 0
    before = site(run, environment)
    file = tmp_path / "exported.txt"
    assert run("settings", "export", file, env=environment).returncode == 0
    printed = run("settings", "export", env=environment).stdout
    assert file.read_text() == printed
    assert run("settings", "import", "--forget", env=environment).returncode == 0
    assert {origin for _, origin in site(run, environment).values()} == {"default"}
    done = run("settings", "import", "-", env=environment, given=printed)
    assert done.returncode == 0, done.stderr
    after = site(run, environment)
    assert {name: value for name, (value, _) in after.items()} == {
        name: value for name, (value, _) in before.items()
    }


def test_a_site_without_an_import_exports_its_rules_and_no_threads(
    run: Run, environment: dict[str, str]
) -> None:
    found = run("settings", "export", env=environment).stdout
    assert "<Resync Merge Interval In Hours><><><72>" in found
    assert "Loader Threads" not in found
    with psycopg.connect(environment["STATESYS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE statesys.site SET heartbeat_interval = '90 s'")
    done = run("settings", "export", env=environment)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "whole minutes" in done.stderr


def test_importing_and_forgetting_twice_changes_nothing_more(
    run: Run, environment: dict[str, str]
) -> None:
    for _ in range(2):
        assert run("settings", "import", PRINTED, env=environment).returncode == 0
        assert site(run, environment)["loader_threads"] == ("4", "site control file")
    done = run("settings", "import", "--forget", "--json", env=environment)
    assert "loader_threads" in json.loads(done.stdout)["forgotten"]
    done = run("settings", "import", "--forget", env=environment)
    assert "nothing was imported" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("import",), ExitCode.USAGE, "give a FILE"),
        (("import", PRINTED, "--forget"), ExitCode.USAGE, "give a FILE"),
        (("import", "nowhere.ct0"), ExitCode.USAGE, "does not exist"),
        (("import", "/"), ExitCode.USAGE, "is a directory"),
        (("import", "/dev/zero"), ExitCode.USAGE, "larger than 16 MiB"),
        (("import", "/dev/null"), ExitCode.USAGE, "is empty"),
        (("import", __file__), ExitCode.USAGE, "sitectrl.ct0"),
        (("import", PRINTED), ExitCode.USAGE, "STATESYS_DATABASE_URL"),
        (("export",), ExitCode.USAGE, "STATESYS_DATABASE_URL"),
        (("--json", "import", PRINTED), ExitCode.USAGE, "behind `settings import`"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(
    run: Run, bare_environment: dict[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run("settings", *arguments, env=bare_environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_dry_run_needs_no_database(run: Run, bare_environment: dict[str, str]) -> None:
    done = run("settings", "import", PRINTED, "--dry-run", "--json", env=bare_environment)
    assert json.loads(done.stdout)["written"] is False


def test_settings_are_shown_although_the_database_is_away(
    run: Run, bare_environment: dict[str, str]
) -> None:
    away = {"STATESYS_DATABASE_URL": "postgresql://ann@127.0.0.1:1/d"}
    done = run("settings", env={**bare_environment, **away})
    assert done.returncode == 0
    assert "loader_chunk_size" in done.stdout
    assert "what was imported for the site is not known" in done.stderr


def test_hostile_names_and_values_reach_no_terminal(
    run: Run, bare_environment: dict[str, str]
) -> None:
    text = MODERN.replace("New Thing", "\x1b[31m[red]\u202e").replace("7200", "\x1b]0;x\x07")
    arguments = ("settings", "import", "-", "--dry-run")
    done = run(*arguments, env=bare_environment, given=text)
    assert done.returncode == 0, done.stderr
    assert not {"\x1b", "\u202e", "\x07"} & set(done.stdout + done.stderr)
    wrong = run(*arguments, env=bare_environment, given=text.replace("<15>", "<\x1b[31m>"))
    assert wrong.returncode == ExitCode.USAGE
    assert "\x1b" not in wrong.stderr


def test_a_loader_starts_while_a_file_is_imported_and_keeps_it(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    """The import waits to commit until the loader waits for the row."""
    with psycopg.connect(environment["STATESYS_DATABASE_URL"]) as importing:
        importing.execute(
            "UPDATE statesys.site SET heartbeat_interval = '1 h', origin = 'site control file', "
            "imported = '{heartbeat_interval}'"
        )
        urls = {
            "amqp_url": environment["STATESYS_AMQP_URL"],
            "database_url": environment["STATESYS_DATABASE_URL"],
        }
        with (
            Program(
                tmp_path / "log", "loader", "run", "--resyncs-per-check", "7", **urls
            ) as loader,
            psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as looking,
        ):
            wait_until(
                lambda: (
                    looking.execute(
                        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        "AND datname = current_database()"
                    ).rowcount
                ),
                timeout=PATIENCE,
                what="the loader to wait",
            )
            importing.commit()
            loader.await_event("loader.consuming")
            found = site(run, environment)
    assert found["heartbeat_interval"] == ("1h", "site control file")
    assert found["resyncs_per_check"] == ("7", "loader")
