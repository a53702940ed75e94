"""A real `statesys web` process with any flags, and clients that ask it over real sockets."""

import base64
import http.client
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from tests.support import commands
from tests.support.waiting import wait_until
from web.access.hashes import hash_password, hash_token
from web.access.people import Person, Role
from web.access.users import User, write_users

PASSWORD, TOKEN = "correct horse battery", "statesys_" + "t" * 43
_ADDRESS = re.compile(r"^https?://(\S+):(\d+)/$", re.MULTILINE)
_TOKEN = re.compile(r'name="(\w+)" value="([^"]*)"')


class Answer(NamedTuple):
    """What the viewer answers."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Guarded:
    """A running viewer.

    Attributes:
        headers: that each request carries.
    """

    started: commands.Started
    tls: ssl.SSLContext | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.started.err

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""
        found = _ADDRESS.search(self.text)
        assert found is not None, self.text
        return found[1].strip("[]"), int(found[2])

    @property
    def origin(self) -> str:
        """The origin of its pages."""
        host, port = self.address
        return f"http{'s' if self.tls else ''}://{host}:{port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, /, **headers: str | None
    ) -> Answer:
        """Ask it; `_` in a header's name stands for `-`, and None leaves one out."""
        host, port = self.address
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {**self.headers, **named}
        sent = {name: value for name, value in given.items() if value is not None}
        connection = (
            http.client.HTTPConnection(host, port, timeout=60)
            if self.tls is None
            else http.client.HTTPSConnection(host, port, timeout=60, context=self.tls)
        )
        with closing(connection):
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read().decode())

    def get(self, path: str, **headers: str | None) -> Answer:
        """Get a page."""
        return self.ask("GET", path, **headers)

    def post(self, path: str, fields: Sequence[tuple[str, str]], **headers: str | None) -> Answer:
        """Send a form as a browser does."""
        named = {
            "Content_Type": "application/x-www-form-urlencoded",
            "Origin": self.origin,
            **headers,
        }
        return self.ask("POST", path, urlencode(fields).encode(), **named)

    def form(self, path: str) -> list[tuple[str, str]]:
        """The fields of the form of an action, as the page asks."""
        found = self.get(path)
        assert found.status == 200, found.text
        return [(name, unescape(value)) for name, value in _TOKEN.findall(found.text)]

    def act(self, path: str) -> Answer:
        """Ask for an action, agree, and follow to the page of its entry."""
        sent = self.post(path.partition("?")[0], self.form(path))
        assert sent.status == 303, sent.text
        return self.get(sent.headers["location"])


def basic(name: str, password: str = PASSWORD) -> str:
    """The header of a login."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def make_users(path: Path) -> Path:
    """A file with a viewer, an operator and a program."""
    hashed = hash_password(PASSWORD)
    people = {
        "vera": (Role.VIEWER, hashed),
        "otto": (Role.OPERATOR, hashed),
        "prometheus": (Role.VIEWER, hash_token(TOKEN)),
    }
    users = {name: User(Person(name, role), hashed) for name, (role, hashed) in people.items()}
    write_users(path, users)
    return path


@contextmanager
def guarded(
    environment: Mapping[str, str],
    *flags: object,
    tls: ssl.SSLContext | None = None,
    listen: str = "127.0.0.1:0",
) -> Iterator[Guarded]:
    """Run a viewer with these flags."""
    with commands.started("web", "--listen", listen, *flags, env=environment) as started:
        viewer = Guarded(started, tls)

        def listens() -> bool:
            assert started.process.is_alive(), viewer.text
            return _ADDRESS.search(viewer.text) is not None

        wait_until(listens, timeout=60, what="the viewer to listen")
        yield viewer
        started.process.terminate()
        started.process.join(30)
        assert started.process.exitcode == 0, viewer.text
        assert "Traceback" not in viewer.text, viewer.text
