"""`statesys why` tells of each client, and of each of its states, what is the matter with it."""

import json
from typing import Any
from uuid import UUID

from tests.integration.console.conftest import Run
from tests.support.conditions import fill

#: The verdict that each condition is told by, on a site whose queues are empty.
VERDICTS = {
    "complete": "current",
    "gaps": "missing",
    "silent": "silent",
    "quiet": "quiet",
    "duplicate identity": "duplicate identity",
}


def told(run: Run, environment: dict[str, str], *question: object) -> dict[str, Any]:
    done = run("why", *question, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert found["sentence"].endswith(f"`{found['command']}`")
    return found


def test_a_client_in_each_condition_has_the_verdict_of_it(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    truth: dict[UUID, str] = fill(database_url)
    for client, condition in truth.items():
        found = told(run, environment, client)
        assert found["verdict"] == VERDICTS[condition]
        assert found["evidence"]["condition"] == condition
        assert str(client) in found["sentence"]
