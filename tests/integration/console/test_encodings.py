"""Output streams that lack characters: nothing ends a command, and JSON stays JSON."""

import json
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.console.conftest import Run

NAME = "日本-é-😀"
#: encoding -> how the output shows the name
ENCODINGS = {
    "latin-1": r"\u65e5\u672c-é-\U0001f600",
    "ascii": r"\u65e5\u672c-\xe9-\U0001f600",
    "cp1252": r"\u65e5\u672c-é-\U0001f600",
    "euc_jp": r"日本-é-\U0001f600",
    "utf-8": NAME,
}


@pytest.fixture
def client(database_url: str) -> UUID:
    """A client with a name that few encodings have."""
    client_id = uuid4()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO statesys.client (client_id, name) VALUES (%s, %s)", [client_id, NAME]
        )
    return client_id


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_stdout_lacks_is_escaped(
    run: Run, environment: dict[str, str], client: UUID, encoding: str
) -> None:
    environment["PYTHONIOENCODING"] = encoding
    shown = run("trace", client, env=environment, encoding=encoding)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert ENCODINGS[encoding] in shown.stdout
    data = run("trace", client, "--json", env=environment, encoding=encoding)
    assert (data.returncode, data.stderr) == (0, "")
    assert json.loads(data.stdout)["client"]["name"] == NAME
    assert data.stdout.isascii() == (encoding != "utf-8")


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_text_of_the_user_is_escaped_on_stderr(
    run: Run, bare_environment: dict[str, str], locale: dict[str, str]
) -> None:
    told = run("näv\udce9", env={**bare_environment, "LC_ALL": "C", **locale}, encoding="ascii")
    assert told.returncode == 2
    assert r"n\xe4v\udce9" in told.stderr or r"n\udcc3\udca4v\udce9" in told.stderr


def test_an_answer_that_stdin_cannot_decode_is_no_yes(
    run: Run, environment: dict[str, str], client: UUID
) -> None:
    environment["PYTHONIOENCODING"] = "ascii"
    told = run("client", "forget", client, env=environment, given="jä\n", encoding="utf-8")
    assert told.returncode == 130
    assert "invalid input" in told.stderr + told.stdout
