"""The dead queue against a real broker."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from console.dead.box import Box, Choice
from runtime.broker import Administration, Properties
from runtime.broker.dead_letters import Letter, dead_letter
from schemas.errors import Refused, TopologyWrong
from schemas.refusal import Reason
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS
from tests.integration.console.conftest import Run
from tests.support.brokers import vhost
from tests.support.management import Management
from tests.support.waiting import wait_until

REFUSED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def admin(amqp_url: str) -> Iterator[Administration]:
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        yield admin


@pytest.fixture
def box(admin: Administration) -> Box:
    return Box(admin)


def add_letter(
    admin: Administration, name: str, *, reason: Reason = Reason.DOCTYPE, queue: str = REPORTS
) -> None:
    original = Properties(
        message_id=name, headers={"client_id": "c"}, reply_to="statesys.resync.00000000"
    )
    refusal = Refused(reason, "why")
    letter = dead_letter(original, refusal, stage="relay", queue=queue, now=REFUSED_AT)
    admin.publish(routing_key=DEAD, body=f"body of {name}".encode(), properties=letter)


def names(box: Box) -> list[str]:
    return [letter.name for letter, _ in box.look()]


def ready(admin: Administration, queue: str) -> int:
    depth = admin.depth(queue)
    assert depth is not None
    return depth.ready


def wait_for(admin: Administration, queue: str, count: int) -> None:
    wait_until(lambda: ready(admin, queue) == count, what=f"{count} messages in {queue}")


def test_looking_changes_nothing_however_often(admin: Administration, box: Box) -> None:
    for name in ("a", "b", "c"):
        add_letter(admin, name)
    for _ in range(3):
        assert names(box) == ["a", "b", "c"]
    wait_for(admin, DEAD, 3)


def test_looking_is_bounded_and_says_so(admin: Administration, box: Box) -> None:
    for name in ("a", "b", "c"):
        add_letter(admin, name)
    assert [letter.name for letter, _ in box.look(most=2)] == ["a", "b"]
    assert box.cut
    assert names(box) == ["a", "b", "c"]
    assert not box.cut


def test_a_missing_dead_queue_is_empty(amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        assert names(Box(admin)) == []


def test_replay_puts_back_exactly_what_was_refused(admin: Administration, box: Box) -> None:
    add_letter(admin, "a")
    moved = box.replay(lambda _: True)
    assert [letter.name for letter in moved.done] == ["a"]
    back = admin.take(REPORTS)
    assert back is not None
    assert back.body == b"body of a"
    assert back.properties.message_id == "a"
    assert back.properties.reply_to == "statesys.resync.00000000"
    assert back.properties.headers is not None
    headers = {k: v for k, v in back.properties.headers.items() if not k.startswith("x-")}
    assert headers == {
        "client_id": "c",
        "statesys-first-refused-at": REFUSED_AT.isoformat(),
    }
    assert ready(admin, DEAD) == 0


def test_only_the_chosen_letters_are_put_back(admin: Administration, box: Box) -> None:
    add_letter(admin, "a")
    add_letter(admin, "b", reason=Reason.DATABASE, queue=INCOMING[Lane.NORMAL])
    add_letter(admin, "c")
    moved = box.replay(Choice(reason="database"))
    assert len(moved.done) == 1
    wait_for(admin, "statesys.incoming", 1)
    wait_for(admin, DEAD, 2)
    assert names(box) == ["a", "c"]


def test_what_came_from_nowhere_stays(admin: Administration, box: Box) -> None:
    add_letter(admin, "a", queue="amq.rabbitmq.trace")
    moved = box.replay(lambda _: True)
    assert [letter.name for letter in moved.stuck] == ["a"]
    assert names(box) == ["a"]


def test_a_letter_whose_queue_is_gone_stays(amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        admin.declare([queue for queue in QUEUES if queue.name == DEAD])
        add_letter(admin, "a")
        box = Box(admin)
        assert len(box.replay(lambda _: True).stuck) == 1
        assert names(box) == ["a"]


def test_a_letter_that_is_refused_again_is_not_put_back_twice(
    admin: Administration, box: Box
) -> None:
    """A replay takes only as many dead letters as there were at the start."""
    add_letter(admin, "a")
    replayed = []

    def refuse_again(letter: Letter) -> bool:
        replayed.append(letter)
        add_letter(admin, "a")
        return True

    box.replay(refuse_again)
    assert len(replayed) == 1
    assert names(box) == ["a"]


def test_purge_throws_away_what_was_chosen(admin: Administration, box: Box) -> None:
    for name in ("a", "b", "c"):
        add_letter(admin, name)
    assert len(box.purge(Choice(names=frozenset({"b"}))).done) == 1
    assert names(box) == ["a", "c"]


class TestCommands:
    """As an operator calls them."""

    @pytest.fixture(autouse=True)
    def _letters(self, admin: Administration) -> None:
        add_letter(admin, "a")
        add_letter(admin, "b", reason=Reason.DATABASE, queue="statesys.incoming")

    @pytest.fixture
    def env(self, bare_environment: dict[str, str], amqp_url: str) -> dict[str, str]:
        return {**bare_environment, "STATESYS_AMQP_URL": amqp_url}

    def test_list_as_json_and_as_a_table(self, run: Run, env: dict[str, str]) -> None:
        found = json.loads(run("dead", "list", "--json", env=env).stdout)
        assert [(f["id"], f["reason"], f["queue"]) for f in found] == [
            ("a", "doctype", REPORTS),
            ("b", "database", "statesys.incoming"),
        ]
        table = run("dead", "list", "--reason", "database", env=env)
        assert len(table.stdout.splitlines()) == 2
        assert "\x1b" not in table.stdout

    def test_show_by_number_and_by_id(self, run: Run, env: dict[str, str]) -> None:
        by_number = run("dead", "show", "2", env=env)
        assert by_number.stdout == run("dead", "show", "b", env=env).stdout
        assert "body of b" in by_number.stdout
        assert run("dead", "show", "b", "--raw", env=env).stdout == "body of b"
        assert run("dead", "show", "c", env=env).returncode == 1

    def test_replay_needs_to_be_told_which(self, run: Run, env: dict[str, str]) -> None:
        assert run("dead", "replay", env=env).returncode == 2
        assert run("dead", "replay", "--all", "a", env=env).returncode == 2
        assert run("dead", "replay", "nobody", env=env).returncode == 1
        done = run("dead", "replay", "a", "--json", env=env)
        assert (done.returncode, json.loads(done.stdout)) == (0, {"replayed": 1, "stuck": 0})

    def test_purge_asks(self, run: Run, env: dict[str, str], box: Box) -> None:
        refused = run("dead", "purge", env=env, given="n\n")
        assert refused.returncode != 0
        assert names(box) == ["a", "b"]
        assert run("dead", "purge", "--reason", "doctype", env=env, given="y\n").returncode == 0
        assert names(box) == ["b"]
        assert run("dead", "purge", "--yes", env=env).returncode == 0
        assert names(box) == []


def test_nothing_is_put_back_while_a_queue_is_something_else(
    admin: Administration, box: Box, amqp_url: str, management: Management
) -> None:
    add_letter(admin, "a")
    management.call("DELETE", "queues", vhost(amqp_url), REPORTS)
    management.call("PUT", "queues", vhost(amqp_url), REPORTS, body={"durable": False})
    with pytest.raises(TopologyWrong):
        box.replay(lambda _: True)
    assert names(box) == ["a"]
