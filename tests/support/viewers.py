"""A viewer as a process of its own, and what a browser or a program asks it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support import commands
from tests.support.processes import PATIENCE
from tests.support.waiting import wait_until


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def data(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.text)


class Viewer:
    """A running viewer at its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Got:
        """Ask for a path."""
        connection = HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, told, answer.read().decode())
        finally:
            connection.close()


@contextmanager
def viewing(environment: Mapping[str, str]) -> Iterator[Viewer]:
    """Start a viewer at a free port, and end it as a supervisor does."""
    with commands.started("web", "--listen", "127.0.0.1:0", env=environment) as started:

        def listening() -> re.Match[str] | None:
            assert started.process.is_alive(), started.err
            return re.search(r"http://[\d.:]+/", started.err)

        found = wait_until(listening, timeout=PATIENCE, what="the viewer to listen")
        assert found is not None
        try:
            yield Viewer(found[0])
        finally:
            started.process.terminate()
            started.process.join(60)
            assert "Traceback" not in started.err, started.err
            assert started.process.exitcode == 0
