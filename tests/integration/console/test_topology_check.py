"""`statesys topology check` against a real broker: every argument and every policy of a queue."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from console.topology.checks import Check, check
from runtime.broker import Administration
from runtime.devserver import Endpoints
from runtime.settings import load_settings
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS, RESYNC
from tests.integration.console.conftest import Run
from tests.support.brokers import vhost
from tests.support.management import Management

NORMAL = INCOMING[Lane.NORMAL]
REPLIES = f"{RESYNC}.0a1b2c3d"
RIGHT = {queue.name: queue.arguments for queue in QUEUES} | {
    REPLIES: next(queue.arguments for queue in QUEUES if queue.name == RESYNC)
}
KEEP = {"overflow": "reject-publish"}
Look = Callable[[], dict[str, list[str]]]


@pytest.fixture
def look(endpoints: Endpoints, amqp_url: str) -> Look:
    """Run the check; it returns the problems by name."""
    settings = load_settings(amqp_url=amqp_url, management_url=endpoints.management_url)

    def found() -> dict[str, list[str]]:
        seen: Check = check(settings)
        assert seen.trouble is None
        assert seen.unseen == []
        assert {one.what for one in seen.checked} >= {f"queue {queue.name}" for queue in QUEUES}
        return {one.what: one.problems for one in seen.checked if one.problems}

    return found


class Site:
    """A virtual host, changed as an operator would."""

    def __init__(self, management: Management, amqp_url: str) -> None:
        self._management, self._vhost = management, vhost(amqp_url)

    def policy(
        self,
        definition: dict[str, Any],
        *,
        pattern: str = "",
        kind: str = "policies",
        apply_to: str = "queues",
        priority: int = 0,
    ) -> None:
        body = {
            "pattern": pattern,
            "definition": definition,
            "apply-to": apply_to,
            "priority": priority,
        }
        self._management.call("PUT", kind, self._vhost, f"{kind} {priority}{pattern}", body=body)

    def clear(self) -> None:
        for kind in ("policies", "operator-policies"):
            for policy in self._management.call("GET", kind, self._vhost):
                self._management.call("DELETE", kind, self._vhost, policy["name"])

    def queue(self, name: str, **body: Any) -> None:
        given = {"durable": True, "arguments": RIGHT[name], **body}
        self._management.call("PUT", "queues", self._vhost, name, body=given)

    def exchange(self, name: str, **body: Any) -> None:
        given = {"type": "direct", "durable": True, **body}
        self._management.call("PUT", "exchanges", self._vhost, name, body=given)

    def bind(self, exchange: str, queue: str) -> None:
        path = ("bindings", self._vhost, "e", exchange, "q", queue)
        self._management.call("POST", *path, body={"routing_key": "other"})


@pytest.fixture
def site(management: Management, amqp_url: str) -> Site:
    return Site(management, amqp_url)


def test_an_empty_broker_gets_its_queues_and_is_right(look: Look, amqp_url: str) -> None:
    assert look() == {}
    with Administration(amqp_url, name="test") as admin:
        assert all(admin.depth(queue.name) for queue in QUEUES)
    assert look() == {}


# -- policies --------------------------------------------------------------------------------

EVERY = {f"queue {name}" for name in RIGHT}
WORK = {f"queue {n}" for n, given in RIGHT.items() if given.get("x-overflow") == "reject-publish"}
#: Of these only the newest messages count.
NEWEST = {f"queue {n}" for n, given in RIGHT.items() if given.get("x-overflow") == "drop-head"}
#: The pattern of all queues but those.
OTHERS = r"^(mp_relayendpoint|statesys\.(incoming|resync|dead)(\..+)?)$"
HARMFUL: dict[str, tuple[dict[str, Any], set[str], str]] = {
    "message ttl": ({"message-ttl": 86400000}, EVERY, "dropped"),
    "no message ttl at all": ({"message-ttl": 0}, EVERY, "dropped"),
    "expires": ({"expires": 86400000}, EVERY, "deleted"),
    "a length": ({"max-length": 1000}, EVERY - WORK - NEWEST, "drop-head"),
    "a length in bytes": ({"max-length-bytes": 1000}, EVERY - WORK - NEWEST, "drop-head"),
    "a length and drop head": (
        {"max-length": 9, "overflow": "drop-head"},
        EVERY - NEWEST,
        "drop-head",
    ),
    "a length that keeps new messages out": (
        {"max-length": 9, **KEEP},
        NEWEST,
        "keep new ones out",
    ),
    "nothing but refusing": (KEEP, NEWEST, "needed is drop-head"),
    "drop head": ({"overflow": "drop-head"}, WORK, "dead letters"),
    "an overflow of classic queues": (
        {"max-length": 9, "overflow": "reject-publish-dlx"},
        EVERY,
        "reject-publish-dlx",
    ),
    "a delivery limit": ({"delivery-limit": 20}, EVERY, "fewer returns"),
    "no returns": ({"delivery-limit": 0}, EVERY, "fewer returns"),
    "enough for work queues": ({"delivery-limit": 1000}, EVERY - WORK, "fewer returns"),
}
HARMLESS: dict[str, dict[str, Any]] = {
    "a length that refuses": {"max-length": 1000, **KEEP},
    "a length in bytes that refuses": {"max-length-bytes": 20_000_000_000, **KEEP},
    "nothing but refusing": KEEP,
    "memory": {"max-in-memory-length": 10, "max-in-memory-bytes": 1000},
    "leader": {"queue-leader-locator": "balanced"},
    # For quorum queues, arguments win over a policy.
    "dead letters": {
        "dead-letter-exchange": "amq.fanout",
        "dead-letter-routing-key": "x",
        "dead-letter-strategy": "at-most-once",
    },
    "the same delivery limit": {"delivery-limit": 2**31 - 1},
}


@pytest.fixture
def declared(look: Look, site: Site) -> None:
    look()
    site.queue(REPLIES)


@pytest.mark.usefixtures("declared")
def test_a_policy_that_loses_is_named_on_every_queue_that_it_harms(look: Look, site: Site) -> None:
    found = {}
    for name, (definition, _, _) in HARMFUL.items():
        site.policy(definition)
        found[name] = look()
    for name, (_, harmed, words) in HARMFUL.items():
        assert found[name].keys() == harmed, name
        for problems in found[name].values():
            assert any("policy 'policies 0' sets" in told for told in problems), problems
            assert words in " ".join(problems)
    site.clear()
    assert look() == {}


@pytest.mark.usefixtures("declared")
def test_a_policy_that_loses_nothing_is_right(look: Look, site: Site) -> None:
    for name, definition in HARMLESS.items():
        site.policy(definition, pattern=OTHERS)
        assert look() == {}, name
        site.clear()


@pytest.mark.parametrize(
    "definition",
    [
        {"message-ttl": 60000},
        {"expires": 60000},
        {"max-length": 5},
        {"max-length-bytes": 5},
        {"delivery-limit": 3},
    ],
    ids=str,
)
@pytest.mark.usefixtures("declared")
def test_an_operator_policy_counts_as_well(
    look: Look, site: Site, definition: dict[str, Any]
) -> None:
    site.policy(definition, kind="operator-policies")
    problems = look()[f"queue {DEAD}"]
    assert problems[0].startswith("operator policy 'operator-policies 0' sets")
    # An operator policy adds to a harmless policy, and the smaller number counts.
    site.policy(dict.fromkeys(definition, 2**31 - 1) | {"queue-leader-locator": "balanced"})
    assert any("operator policy" in told for told in look()[f"queue {DEAD}"])


@pytest.mark.usefixtures("declared")
def test_the_policy_with_the_highest_priority_counts(look: Look, site: Site) -> None:
    site.policy({"message-ttl": 1000}, priority=1)
    site.policy({"max-in-memory-length": 10}, priority=2)
    assert look() == {}
    # Of two policies with one priority RabbitMQ may apply either.
    site.policy({"expires": 1000}, priority=2, kind="policies", pattern=f"^{NORMAL}$")
    assert look().keys() == {f"queue {NORMAL}"}


@pytest.mark.usefixtures("declared")
def test_a_policy_for_others_is_none_of_ours(look: Look, site: Site) -> None:
    site.policy({"message-ttl": 1000}, pattern="^other")
    assert look() == {}
    site.policy({"alternate-exchange": "amq.fanout"}, apply_to="exchanges", pattern="^amq")
    assert look() == {}
    site.policy({"message-ttl": 1000}, apply_to="all", pattern=r"^statesys\.dead$")
    assert look().keys() == {f"queue {DEAD}"}


# -- properties and arguments ----------------------------------------------------------------


def changed(name: str, **arguments: Any) -> dict[str, Any]:
    """Arguments of a queue with some of them changed; one that is None is left out."""
    given = {**RIGHT[name], **{f"x-{key.replace('_', '-')}": v for key, v in arguments.items()}}
    return {key: value for key, value in given.items() if value is not None}


@pytest.mark.parametrize("name", [NORMAL, DEAD, REPLIES])
def test_everything_that_is_wrong_with_a_queue_is_told_at_once(
    look: Look, site: Site, name: str
) -> None:
    site.queue(name, durable=False, auto_delete=True, arguments={"x-message-ttl": 1000})
    problems = look()[f"queue {name}"]
    assert problems[:3] == [
        "is a classic queue; needed is a quorum queue",
        "is not durable: a restart of the broker deletes it",
        "is deleted with its last consumer (auto-delete)",
    ]
    assert "x-message-ttl is '1000'; needed is not set" in problems
    # RabbitMQ 4 sets the type that a client leaves out.
    types = {f"x-queue-type is {found}; needed is 'quorum'" for found in ("not set", "'classic'")}
    assert types & set(problems)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"message_ttl": 5}, {"expires": 90000}, {"max_length": 5}, {"max_length_bytes": 5}),
        *({"overflow": "drop-head"}, {"delivery_limit": 20}, {"delivery_limit": None}),
        *({"dead_letter_exchange": "amq.fanout"}, {"dead_letter_strategy": "at-most-once"}),
        *({"dead_letter_routing_key": "x"}, {"single_active_consumer": True}),
    ],
    ids=str,
)
def test_an_argument_that_differs_is_named_on_every_kind_of_queue(
    look: Look, site: Site, arguments: dict[str, Any]
) -> None:
    names = [NORMAL] if "dead_letter_routing_key" in arguments else [NORMAL, DEAD, REPLIES]
    for name in names:
        site.queue(name, arguments=changed(name, **arguments))
    ((key, value),) = arguments.items()
    shown = "not set" if value is None else f"'{value}'"
    found = look()
    assert found.keys() == {
        f"queue {name}" for name in names if changed(name, **arguments) != RIGHT[name]
    }
    for problems in found.values():
        assert f"x-{key.replace('_', '-')} is {shown}; needed is" in " ".join(problems)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"type": "fanout"}, "is of type fanout; needed is direct"),
        ({"durable": False}, "is not durable"),
        ({"auto_delete": True}, "is deleted with its last binding"),
        ({"internal": True}, "is internal"),
        ({"arguments": {"alternate-exchange": "amq.fanout"}}, "alternate-exchange is 'amq.fanout'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_exchange_that_is_something_else_is_named(
    look: Look, site: Site, body: dict[str, Any], told: str
) -> None:
    site.exchange(REPORTS, **body)
    assert told in " ".join(look()[f"exchange {REPORTS}"])


@pytest.mark.usefixtures("declared")
def test_an_alternate_exchange_by_policy_is_named_and_more_bindings_are_right(
    look: Look, site: Site
) -> None:
    site.exchange("audit")
    site.bind("audit", NORMAL)
    site.queue(REPLIES)
    site.bind(REPORTS, REPLIES)
    assert look() == {}
    site.policy({"alternate-exchange": "amq.fanout"}, apply_to="exchanges", pattern="^mp_")
    assert "sets alternate-exchange" in look()[f"exchange {REPORTS}"][0]


# -- the command -----------------------------------------------------------------------------


def test_the_command_says_what_is_right_and_what_it_did_not_look_at(
    run: Run, environment: dict[str, str]
) -> None:
    done = run("topology", "check", env=environment)
    assert done.returncode == 0, done.stderr
    assert "policies and operator policies" in done.stdout
    assert "not looked at" in done.stdout


def test_the_command_names_what_is_wrong_and_ends_with_3(
    run: Run, environment: dict[str, str], endpoints: Endpoints, site: Site
) -> None:
    with_api = {**environment, "STATESYS_MANAGEMENT_URL": endpoints.management_url}
    assert run("topology", "check", env=with_api).returncode == 0
    site.policy({"message-ttl": 1000}, pattern="^statesys.dead$")
    done = run("topology", "check", "--json", env=with_api)
    assert done.returncode == 3
    assert "1 problem" in done.stderr
    found = json.loads(done.stdout)
    assert found["right"] is False
    assert [one["what"] for one in found["checked"] if one["problems"]] == [f"queue {DEAD}"]
    assert found["not_looked_at"] == []


def test_a_management_api_that_refuses_is_told_without_its_password(
    run: Run, environment: dict[str, str], endpoints: Endpoints
) -> None:
    parts = urlsplit(endpoints.management_url)
    refused = parts._replace(netloc=f"nobody:s3cr3t@{parts.hostname}:{parts.port}").geturl()
    for url, words in ((refused, "401"), ("http://a:s3cr3t@127.0.0.1:1", "refused")):
        done = run("topology", "check", env={**environment, "STATESYS_MANAGEMENT_URL": url})
        assert done.returncode == 3
        assert "STATESYS_MANAGEMENT_URL" in done.stderr
        assert words in done.stderr
        assert "s3cr3t" not in done.stderr
        assert "policies and operator policies" in done.stdout
