"""The API keeps to its own OpenAPI document: with data, and with hostile values."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks

from loader.store.activity import ActivityStore
from loader.store.collections import CollectionStore
from loader.store.resyncs import ResyncStore
from runtime.broker import Administration, persistent
from runtime.broker.dead_letters import dead_letter
from runtime.devserver import Endpoints
from schemas.digest import digest
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.topology import DEAD, QUEUES, REPORTS
from tests.support import own
from tests.support.viewers import Viewer, viewing
from tests.support.world import CLIENT, chunk_store, load, message, report

#: The laws of the document. What is not among them: that every value that the document allows is
#: accepted, since many a name is nobody's.
LAWS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
)
NAME = "NB-000017"
HOSTILE = '<script>alert("1")</script>\u202e\u0001'.replace("\u0001", "\t")
FIRST = message(1, topic=HOSTILE, topic_type=301, state=6)._replace(params=("", HOSTILE))


#: Each path, and what its answer has when there are data.
PATHS = {
    "/clients": "clients",
    "/clients/{client}": "client",
    "/clients/{client}/states": "states",
    "/clients/{client}/gaps": "gaps",
    "/clients/{client}/requests": "requests",
    "/clients/{client}/why": "evidence",
    "/clients/{client}/serials/{serial}": "rows",
    "/clients/{client}/messages": "messages",
    "/messages": "messages",
    "/messages/{client_id}/{key}": "message",
    "/topics": "topics",
    "/topics/{topic_type}": "states",
    "/topics/{topic_type}/clients": "clients",
    "/top/clients": "clients",
    "/top/topics": "topics",
    "/gaps": "gaps",
    "/resyncs": "requests",
    "/collections": "collections",
    "/collections/{name}/members": "members",
    "/status": "database",
    "/settings": "settings",
    "/findings": "findings",
    "/dead": "letters",
}
#: Nothing can be wrong about their values.
WITHOUT_VALUES = {"/status", "/settings", "/findings"}


def _refuse(amqp_url: str) -> None:
    """Leave a dead letter as a relay does."""
    refused = Refused(Reason.NOT_WELL_FORMED, "no element found")
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        properties = dead_letter(
            persistent(), refused, stage="relay", queue=REPORTS, now=datetime.now(UTC)
        )
        admin.publish(routing_key=DEAD, body=b"<Report>", properties=properties)


@pytest.fixture(scope="module")
def site(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Viewer]:
    """The viewer of a site with a client that has states, gaps, requests and a collection."""
    home = tmp_path_factory.mktemp("home")
    with own.site(endpoints, template=database_template(), home=home) as environment:
        _fill(environment["STATESYS_DATABASE_URL"])
        _refuse(environment["STATESYS_AMQP_URL"])
        with viewing(environment) as found:
            yield found


@pytest.fixture(scope="module")
def document(site: Viewer) -> BaseSchema:
    """The OpenAPI document of the viewer, and where it is served."""
    return schemathesis.openapi.from_url(f"{site.url}openapi.json")


def test_every_path_of_the_document_is_tested(document: BaseSchema) -> None:
    assert {str(path).removeprefix("/api/v1") for path in document} == set(PATHS)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (path, mode)
        for path in PATHS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or path not in WITHOUT_VALUES
    ],
)
def test_no_value_breaks_the_contract(
    document: BaseSchema, path: str, mode: GenerationMode
) -> None:
    operation = document[f"/api/v1{path}"]["GET"]

    @settings(max_examples=8, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Case[Any]) -> None:
        case.call_and_validate(checks=list(LAWS))

    asked()


@pytest.mark.parametrize(("path", "listed"), PATHS.items())
def test_an_answer_with_data_has_the_shape_that_the_document_tells(
    document: BaseSchema, path: str, listed: str
) -> None:
    operation = document[f"/api/v1{path}"]["GET"]
    values = {
        "client": NAME,
        "client_id": str(CLIENT),
        "serial": 1,
        "key": f"1-{digest(FIRST).hex()}",
        "topic_type": "301",
        "name": "All",
    }
    named = {name: value for name, value in values.items() if f"{{{name}}}" in path}
    query: dict[str, Any] = {"state": "6"} if path == "/topics/{topic_type}/clients" else {}
    answer = operation.Case(path_parameters=named, query=query).call_and_validate(checks=list(LAWS))
    assert answer.status_code == 200
    found = answer.json()
    assert found["as_of"]
    # No worker of this site has told its settings.
    assert found[listed] or listed == "settings"


def _fill(url: str) -> None:
    store = chunk_store(url)
    load(
        store,
        report(FIRST, message(4, topic="t4"), message(None, topic="t5"))._replace(client_name=NAME),
        reply_to=None,
    )
    store.close()
    resyncs = ResyncStore(
        url, name="test", min_missing_age=timedelta(hours=48), merge_interval=timedelta(hours=72)
    )
    resyncs.request(CLIENT, now=datetime.now(UTC))
    resyncs.close()
    collections = CollectionStore(url, name="test")
    collections.create("All", "state(301) = 6", replace=False)
    collections.close()
    activity = ActivityStore(url)
    activity.add_topics({301: 3}, now=datetime.now(UTC))
    activity.close()
