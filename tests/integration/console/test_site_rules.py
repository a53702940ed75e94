"""Two loaders with different rules run at once: one row decides, and all readers follow it."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

from runtime.rules import SiteRules
from runtime.settings import Settings
from tests.integration.console.conftest import Run
from tests.integration.console.test_gaps import due, lose
from tests.support.processes import Program

DEFAULTS = SiteRules.of(Settings()).as_text()
#: A user's shell: by the first setting no range is too young, by the second no client is quiet.
SHELL = {
    "STATESYS_MIN_MISSING_MESSAGE_AGE": "0s",
    "STATESYS_HEARTBEAT_INTERVAL": "1000d",
    "STATESYS_RESYNCS_PER_CHECK": "3",
}


def test_the_loader_that_starts_last_decides_and_the_other_is_named_until_it_starts_again(
    run: Run, environment: dict[str, str], amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    def started(name: str, *flags: str, **variables: str) -> Program:
        urls = {"amqp_url": amqp_url, "database_url": database_url}
        loader = Program(tmp_path / f"{name}.log", "loader", "run", *flags, **urls, **variables)
        loader.await_event("loader.consuming")
        return loader

    def site() -> Any:
        done = run("status", "--json", env={**environment, **SHELL})
        return json.loads(done.stdout)["database"]["site"]

    def name(loader: Program) -> str:
        return f"{socket.gethostname()}:{loader.process.pid}"

    # A flag wins over a variable, and a variable over a default.
    variables = {"resyncs_per_check": "7", "heartbeat_interval": "20m"}
    first = {"resyncs_per_check": "9", "heartbeat_interval": "20m"}
    year = ("--min-missing-message-age", "365d")
    with started("one", "--resyncs-per-check", "9", **variables) as one:
        assert site()["rules"] == {**DEFAULTS, **first}
        assert site()["written"]["written_by"] == name(one)
        with started("other", *year) as other:
            found = site()
            assert found["rules"] == {**DEFAULTS, "min_missing_message_age": "365d"}
            assert found["written"]["written_by"] == name(other)
            differing = {**first, "min_missing_message_age": "2d"}
            assert found["differing"] == [{"name": name(one), "rules": differing}]
            text = " ".join(run("status", env={**environment, **SHELL}).stdout.split())
            assert text.count("was started with other ones") == 1
            assert f"loader {name(one)} follows the site's rules" in text
            assert "resyncs_per_check 9 (the site's: 500)" in text

            lose(database_url)
            told, held_by = due(run, {**environment, **SHELL})
            assert told.endswith("(too young)")
            assert held_by == "too young"
            assert run("resync", "check", "--dry-run", env={**environment, **SHELL}).stdout == ""

            one.send(signal.SIGTERM)
            assert one.end() == 0
            with started("again", *year) as again:
                assert (site()["rules"], site()["differing"]) == (found["rules"], [])
                assert site()["written"]["written_by"] == name(other), "nothing was changed"
                assert again.process.poll() is None
