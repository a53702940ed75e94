"""HEAD, with which monitors and load balancers ask."""

from collections.abc import Mapping
from http.client import HTTPConnection

import pytest

from tests.support.viewers import Viewer
from web.live import MOST

#: Of each kind of answer: page, list, CSV, API, static file, metrics, and what there is not.
PATHS = (
    *("/", "/clients", "/clients.csv", "/messages.csv", "/api/v1/clients", "/openapi.json"),
    *("/metrics", "/static/style.css", "/nothing", "/clients/nothing", "/clients?stale=soon"),
    "/delete-collection",
)
#: What differs from one answer to the next.
_MOMENTARY = {"date", "content-length", "transfer-encoding"}


@pytest.mark.parametrize("path", PATHS)
def test_it_is_answered_like_get_without_a_body(empty_viewer: Viewer, path: str) -> None:
    whole, head = empty_viewer.get(path), empty_viewer.get(path, method="HEAD")
    assert (head.status, head.text) == (whole.status, "")
    assert steady(head.headers) == steady(whole.headers)


def steady(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that do not depend on the moment."""
    return {name: value for name, value in headers.items() if name not in _MOMENTARY}


def test_it_takes_no_place_of_a_stream_and_keeps_the_connection(empty_viewer: Viewer) -> None:
    connection = HTTPConnection(empty_viewer.address, timeout=60)
    opened = set()
    for _ in range(2 * MOST):
        connection.request("HEAD", "/live")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        opened.add(connection.sock)
    connection.request("GET", "/clients")
    assert connection.getresponse().status == 200
    assert opened == {connection.sock}
    connection.close()
