"""What operators do in the viewer: as the commands do it, guarded, and with an audit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg
import pytest

from tests.support.commands import run
from tests.support.guarded import Answer, Guarded, basic, guarded, make_users
from tests.support.pipeline import Pipeline

UNKNOWN = "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"


@pytest.fixture
def viewer(environment: dict[str, str], tmp_path: Path) -> Iterator[Guarded]:
    """A viewer that an operator uses."""
    with guarded(environment, "--users", make_users(tmp_path / "users")) as found:
        found.headers = {"Authorization": basic("otto")}
        yield found


@pytest.fixture
def fleet(pipeline: Pipeline) -> Pipeline:
    """A loaded fleet, some of whose reports are dead letters."""
    pipeline.publish(corrupt=0.3)
    pipeline.work()
    return pipeline


def rows(environment: dict[str, str], query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(environment["STATESYS_DATABASE_URL"]) as connection:
        return connection.execute(query.encode()).fetchall()


def audit(environment: dict[str, str]) -> list[tuple[Any, ...]]:
    return rows(
        environment,
        "SELECT who, address, action, command, failed, result"
        " FROM statesys.audit_entry ORDER BY id",
    )


def letters(environment: dict[str, str], *options: str) -> list[dict[str, Any]]:
    done = run("dead", "list", "--json", *options, env=environment)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def a_client(environment: dict[str, str]) -> str:
    ((client,),) = rows(environment, "SELECT min(client_id::text) FROM statesys.client")
    return str(client)


# -- who may -----------------------------------------------------------------------------------


def test_a_viewer_without_logins_acts_only_if_it_is_told_so(environment: dict[str, str]) -> None:
    with guarded(environment) as viewer:
        refused = viewer.get("/actions")
        assert refused.status == 403
        assert "--allow-actions" in refused.text
        assert viewer.post("/actions/quarantine", [("client", UNKNOWN)]).status == 403
    with guarded(environment, "--allow-actions") as viewer:
        assert viewer.get("/actions").status == 200
        assert viewer.act(f"/actions/quarantine?client={UNKNOWN}").status == 200
    ((who, *_),) = audit(environment)
    assert "@" in who


def test_who_may_only_look_cannot_act(viewer: Guarded, environment: dict[str, str]) -> None:
    form = viewer.form(f"/actions/quarantine?client={UNKNOWN}")
    vera = basic("vera")
    assert 'href="/actions"' in viewer.get("/clients").text
    assert 'href="/actions"' not in viewer.get("/clients", Authorization=vera).text
    for path in ("/actions", f"/actions/quarantine?client={UNKNOWN}"):
        assert viewer.get(path, Authorization=vera).status == 403
    refused = viewer.post("/actions/quarantine", form, Authorization=vera)
    assert refused.status == 403
    assert "vera may look" in refused.text
    assert audit(environment) == []


def refusals(viewer: Guarded) -> dict[str, Answer]:
    """A form that is right but for one thing."""
    path = "/actions/quarantine"
    form = viewer.form(f"{path}?client={UNKNOWN}")
    without = [field for field in form if field[0] != "form_token"]
    host, port = viewer.address
    return {
        "no token": viewer.post(path, without),
        "a wrong token": viewer.post(path, [*without, ("form_token", "0" * 64)]),
        "a token that is no ASCII": viewer.post(path, [*without, ("form_token", "\u20ac")]),
        "no origin": viewer.post(path, form, Origin=None),
        "the origin null": viewer.post(path, form, Origin="null"),
        "no URL": viewer.post(path, form, Origin="http://[::1"),
        "a foreign origin": viewer.post(path, form, Origin="http://evil.example"),
        "another port": viewer.post(path, form, Origin=f"http://{host}:{port + 1}"),
        "another scheme": viewer.post(path, form, Origin=f"https://{host}:{port}"),
        "a foreign referer": viewer.post(
            path, form, Origin=None, Referer=f"http://evil.example/{viewer.origin}/"
        ),
        "a foreign origin, our referer": viewer.post(
            path, form, Origin="http://evil.example", Referer=f"{viewer.origin}/actions"
        ),
        "JSON": viewer.ask(
            "POST", path, json.dumps(dict(form)).encode(), Content_Type="application/json",
            Origin=viewer.origin,
        ),
    }  # fmt: skip


def test_a_form_of_elsewhere_changes_nothing(viewer: Guarded, environment: dict[str, str]) -> None:
    found = {name: answer.status for name, answer in refusals(viewer).items()}
    assert found == dict.fromkeys(found, 403)
    assert audit(environment) == []


def test_a_form_is_of_one_person(viewer: Guarded, environment: dict[str, str]) -> None:
    form = viewer.form(f"/actions/quarantine?client={UNKNOWN}")
    token = dict(form)["form_token"]
    assert token not in viewer.text
    assert len(token) == 64
    again = viewer.form(f"/actions/quarantine?client={UNKNOWN}")
    assert dict(again)["form_token"] == token
    by_referer = viewer.post(
        "/actions/quarantine", form, Origin=None, Referer=f"{viewer.origin}/actions/quarantine?a=b"
    )
    assert by_referer.status == 303
    assert len(audit(environment)) == 1


def test_nothing_is_done_without_an_audit_entry(environment: dict[str, str]) -> None:
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER TABLE statesys.audit_entry ADD CHECK (who = 'somebody')")
    with guarded(environment, "--allow-actions") as viewer:
        form = viewer.form(f"/actions/quarantine?client={UNKNOWN}")
        assert viewer.post("/actions/quarantine", form).status == 503
    assert rows(environment, "SELECT * FROM statesys.client_quarantine") == []


def test_reading_and_acting_may_have_two_roles(environment: dict[str, str], reader: str) -> None:
    reading = {**environment, "STATESYS_DATABASE_URL": reader}
    with guarded(reading, "--allow-actions") as viewer:
        form = viewer.form(f"/actions/quarantine?client={UNKNOWN}")
        refused = viewer.post("/actions/quarantine", form)
        assert refused.status == 503
        assert "permission denied for table audit_entry" in refused.text
    reading["STATESYS_WEB_OPERATOR_DATABASE_URL"] = environment["STATESYS_DATABASE_URL"]
    with guarded(reading, "--allow-actions") as viewer:
        assert viewer.act(f"/actions/quarantine?client={UNKNOWN}").status == 200


@pytest.fixture
def reader(environment: dict[str, str]) -> Iterator[str]:
    """The URL of a role that only reads."""
    url = urlsplit(environment["STATESYS_DATABASE_URL"])
    name = f"reader_{uuid4().hex}"
    with psycopg.connect(url.geturl(), autocommit=True) as connection:
        for statement in (
            "CREATE ROLE {} LOGIN PASSWORD 'secret'",
            "GRANT USAGE ON SCHEMA statesys TO {}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA statesys TO {}",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA statesys TO {}",
        ):
            connection.execute(statement.format(name).encode())
        yield url._replace(netloc=f"{name}:secret@{url.hostname}:{url.port}").geturl()
        connection.execute(f"DROP OWNED BY {name}".encode())
        connection.execute(f"DROP ROLE {name}".encode())


# -- what --------------------------------------------------------------------------------------


def test_a_client_is_asked_as_the_command_asks(viewer: Guarded, fleet: Pipeline) -> None:
    client = a_client(fleet.environment)
    path = f"/actions/resync?client={client}"
    asks = viewer.get(path)
    assert "1 would be asked over" in asks.text
    assert rows(fleet.environment, "SELECT * FROM statesys.resync_request") == []
    done = viewer.act(path)
    assert f"asked client {client}" in done.text
    found = rows(fleet.environment, "SELECT client_id::text, reason FROM statesys.resync_request")
    assert found == [(client, "operator")]
    ((who, address, action, command, failed, result),) = audit(fleet.environment)
    assert (who, address, action, failed) == ("otto", "127.0.0.1", "resync", False)
    assert command == f"statesys resync request {client}"
    assert client in result


def test_members_of_a_collection_are_asked_one_after_another(
    viewer: Guarded, fleet: Pipeline
) -> None:
    rule = quote("seen < 1d and name like '*'")
    path = f"/actions/create-collection?name=All&rule={rule}"
    assert "Members now" in viewer.get(path).text
    assert "made collection All" in viewer.act(path).text
    clients = rows(fleet.environment, "SELECT count(*) FROM statesys.client")[0][0]
    done = run("loader", "run", "--exit-when-empty", env=fleet.environment)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(fleet.environment["STATESYS_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO statesys.collection_member (collection, client_id, joined_at) "
            "SELECT k.id, c.client_id, now() FROM statesys.collection k, statesys.client c "
            "ON CONFLICT DO NOTHING"
        )
    told = viewer.get("/actions/resync?collection=All").text
    assert f"{clients} would be asked over" in told
    dry = run("resync", "request", "--collection", "All", "--dry-run", env=fleet.environment)
    assert dry.stderr.strip().splitlines()[-1] in told
    assert f"{clients} are asked over" in viewer.act("/actions/resync?collection=All").text
    assert f"{clients} have an open request" in viewer.get("/actions/resync?collection=All").text


def test_letters_are_replayed_and_purged_as_by_the_commands(
    viewer: Guarded, fleet: Pipeline
) -> None:
    first = letters(fleet.environment)
    reason = first[0]["reason"]
    of_reason = [letter for letter in first if letter["reason"] == reason]
    one = quote(first[0]["id"])
    assert f"{len(of_reason)} dead letter" in viewer.get(f"/actions/replay?reason={reason}").text
    # Looking moves nothing.
    assert letters(fleet.environment) == first
    assert "replayed 1 letter" in viewer.act(f"/actions/replay?id={one}").text
    assert len(letters(fleet.environment)) == len(first) - 1
    fleet.work()
    assert len(letters(fleet.environment)) == len(first)
    asked = viewer.form(f"/actions/purge?reason={reason}")
    sent = viewer.post("/actions/purge", asked)
    assert sent.status == 303
    again = viewer.post("/actions/purge", asked)
    assert again.status == 409
    assert letters(fleet.environment, "--reason", reason) == []
    assert len(letters(fleet.environment)) == len(first) - len(of_reason)
    assert [entry[2:5] for entry in audit(fleet.environment)] == [
        ("replay", f"statesys dead replay {first[0]['id']}", False),
        ("purge", f"statesys dead purge --reason {reason}", False),
    ]


def test_a_letter_that_arrived_during_the_question_stays(viewer: Guarded, fleet: Pipeline) -> None:
    asked = viewer.form("/actions/purge")
    before = len(letters(fleet.environment))
    fleet.publish(corrupt=0.9, heartbeat=False)
    fleet.work()
    after = len(letters(fleet.environment))
    assert after > before
    assert viewer.post("/actions/purge", asked).status == 303
    assert len(letters(fleet.environment)) == after - before


def test_an_empty_queue_has_nothing_to_purge(viewer: Guarded) -> None:
    assert "There is nothing to do" in viewer.get("/actions/purge").text
    assert viewer.get("/actions/purge?id=nothing").status == 404


def test_a_client_goes_into_quarantine_and_comes_out(viewer: Guarded, fleet: Pipeline) -> None:
    client = a_client(fleet.environment)
    why = quote("sends <b>much</b> \u202e")
    path = f"/actions/quarantine?client={client}&why={why}"
    assert "<b>" not in viewer.get(path).text
    assert "is in quarantine" in viewer.act(path).text
    found = json.loads(run("client", "quarantined", "--json", env=fleet.environment).stdout)
    assert [(one["client_id"], one["by"]) for one in found["clients"]] == [(client, "otto")]
    assert "was in quarantine already" in viewer.act(path).text
    assert "released" in viewer.act(f"/actions/release?client={client}").text
    failed = viewer.post("/actions/release", viewer.form(f"/actions/release?client={client}"))
    assert failed.status == 404
    assert "is not in quarantine" in failed.text
    assert [(entry[2], entry[4]) for entry in audit(fleet.environment)] == [
        ("quarantine", False),
        ("quarantine", False),
        ("release", False),
        ("release", True),
    ]


def test_collections_are_made_and_deleted(viewer: Guarded, environment: dict[str, str]) -> None:
    path = f"/actions/create-collection?name=Old&rule={quote('seen > 30d')}"
    assert "made collection Old" in viewer.act(path).text
    form = viewer.form(path)
    assert viewer.post("/actions/create-collection", form).status == 400
    replacing = f"/actions/create-collection?name=old&rule={quote('seen > 9d')}&replace=true"
    assert "seen &gt; 30d" in viewer.get(replacing).text
    assert viewer.act(replacing).status == 200
    listed = run("collections", "list", "--json", env=environment).stdout
    assert [one["rule"] for one in json.loads(listed)["collections"]] == ["seen > 9d"]
    assert "its rule was: seen &gt; 9d" in viewer.act("/actions/delete-collection?name=OLD").text
    assert rows(environment, "SELECT * FROM statesys.collection") == []
    assert viewer.get("/actions/delete-collection?name=Old").status == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/actions/resync", "/actions/resync?client=a&collection=b", "/actions/quarantine"),
        *(f"/actions/resync?client={UNKNOWN}", "/actions/resync?collection=None"),
        *("/actions/create-collection?name=a+b&rule=seen<1d", "/actions/release?client=%00"),
        "/actions/create-collection?name=a&rule=seen",
        *("/audit/0", "/audit/99999999999999999999", "/audit/7", "/audit?after=x"),
    ],
)
def test_what_cannot_be_is_said_on_a_page(viewer: Guarded, path: str) -> None:
    answer = viewer.get(path.replace("<", "%3C"))
    assert 400 <= answer.status < 500
    assert "<h1>" in answer.text


# -- audit -------------------------------------------------------------------------------------


def test_the_audit_has_pages_and_a_file_and_a_command(
    viewer: Guarded, environment: dict[str, str]
) -> None:
    assert "Nobody has changed anything" in viewer.get("/audit").text
    with psycopg.connect(environment["STATESYS_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO statesys.audit_entry (who, address, action, command, ended_at, failed,"
            " result) SELECT 'w' || n, '::1', 'resync', '<script>', now(), n = 3, 'r' || n"
            " FROM generate_series(1, 5) n"
        )
        connection.execute(
            "INSERT INTO statesys.audit_entry (who, address, action, command)"
            " VALUES ('\u202ewho', '', 'purge', 'c')"
        )
    page = viewer.get("/audit?limit=4").text
    assert "no result was noted" in page
    assert "failed: r3" in page
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "after=3" in page
    assert "w1" not in page
    assert "w1" in viewer.get("/audit?limit=4&after=3").text
    assert viewer.get("/audit.csv").text.count("\n") == 7
    assert "no result was noted" in viewer.get("/audit/6").text
    assert "statesys audit" in page

    def told(*words: object) -> str:
        done = run("audit", *words, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    found = json.loads(run("audit", "--limit", 4, "--json", env=environment).stdout)
    assert [entry["id"] for entry in found["entries"]] == [6, 5, 4, 3]
    assert (found["next"], found["entries"][3]["failed"]) == (3, True)
    assert "there are more: --after 3" in told("--limit", 4)
    rest = told("--after", 3)
    assert "w1" in rest
    assert "w3" not in rest
    assert "failed: r3" in told()
    for text in (told(), told("--csv")):
        assert "\u202e" not in text
    assert told("--csv").splitlines()[0].startswith("entry,when,who")
