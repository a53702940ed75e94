"""A live page's stream, read as a browser reads it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

from tests.support.viewers import Viewer

#: Seconds that a part may take to show what is expected of it.
PATIENCE = 60.0


class Stream:
    """An open stream of server-sent events."""

    def __init__(self, answer: HTTPResponse) -> None:
        self._answer = answer
        self.status = answer.status

    def events(self) -> Iterator[tuple[str, str]]:
        """Name and data of each event, until the viewer ends the stream."""
        name, data = "", []
        while line := self._answer.readline():
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                data.append(text.removeprefix("data: "))
            elif not text and name:
                yield name, "\n".join(data)
                name, data = "", []

    def await_part(self, name: str, holding: str) -> str:
        """Read on until a part holds a text."""
        last, until = "", time.monotonic() + PATIENCE
        for part, html in self.events():
            if part == name:
                last = html
                if holding in html:
                    return html
            if time.monotonic() > until:
                break
        raise AssertionError(f"{name} does not hold {holding!r} but {last}")


@contextmanager
def streaming(viewer: Viewer) -> Iterator[Stream]:
    """Open a stream."""
    with closing(HTTPConnection(urlsplit(viewer.url).netloc, timeout=60)) as connection:
        connection.request("GET", "/live")
        yield Stream(connection.getresponse())
