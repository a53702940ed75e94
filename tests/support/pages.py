"""Reads pages of the viewer: their text, tables and links, and whether hostile text is harmless."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from lxml import html

from tests.support.viewers import Got, Viewer

#: What strangers write into names, topics, users and details.
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e'\"&/../%2F?#"
FORMULA = "=cmd|'/c calc'!A1"
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _found(root: html.HtmlElement, xpath: str, **values: str) -> list[Any]:
    found = root.xpath(xpath, **values)
    assert isinstance(found, list)
    return found


class Shown:
    """A page as a browser shows it."""

    def __init__(self, got: Got) -> None:
        self.got = got
        self._root = html.fromstring(got.text)

    def text(self, xpath: str = "//body") -> str:
        """The text of the elements of an XPath, blanks as one."""
        return " ".join(" ".join(one.text_content() for one in _found(self._root, xpath)).split())

    def rows(self, label: str) -> list[list[str]]:
        """The cells of the table in the region of a label."""
        found = _found(self._root, "//*[@role='region'][@aria-label=$label]//tbody/tr", label=label)
        return [[" ".join(cell.text_content().split()) for cell in row] for row in found]

    def links(self, label: str) -> list[str]:
        """Where the links in the region of a label lead."""
        return list(
            _found(self._root, "//*[@role='region'][@aria-label=$label]//a/@href", label=label)
        )

    def link(self, words: str) -> str | None:
        """Where the first link with these words leads."""
        found = _found(self._root, "//a[normalize-space()=$words]/@href", words=words)
        return str(found[0]) if found else None

    @property
    def following(self) -> str | None:
        """Where the next page is."""
        found = _found(self._root, "//p[@class='more']/a[@rel='next']/@href")
        return str(found[0]) if found else None


def shown(viewer: Viewer, path: str, *, status: int = 200) -> Shown:
    """Ask for a page, which must be harmless whatever it shows."""
    got = viewer.get(path)
    assert got.status == status, (path, got.status, got.text[:2000])
    harmless_page(got)
    return Shown(got)


def pages(viewer: Viewer, path: str) -> Iterator[Shown]:
    """The pages of a list, from a path on."""
    at: str | None = path
    while at is not None:
        page = shown(viewer, at)
        yield page
        at = page.following


def csv_rows(viewer: Viewer, path: str) -> list[dict[str, str]]:
    """The rows of a CSV, none of which a spreadsheet may run."""
    got = viewer.get(path)
    assert got.status == 200, got.text
    assert got.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(got.text, newline="")))
    for row in rows:
        for name, cell in row.items():
            number = re.fullmatch("-[0-9]+", cell)
            assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (name, cell)
    return rows


def harmless_page(got: Got) -> None:
    """See that a page runs nothing and obeys no character of strangers.

    Raises:
        AssertionError: it does.
    """
    assert got.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in got.headers["content-security-policy"]
    assert not _UNSAFE.search(got.text), _UNSAFE.search(got.text)
    assert re.findall("<script[^>]*>", got.text) == ['<script src="/static/viewer.js" defer>']
    root = html.fromstring(got.text)
    assert not _found(root, "//@style")
    assert len(_found(root, "//h1")) == 1
    for href in _found(root, "//@href | //@src | //@action"):
        parts = urlsplit(href)
        assert (parts.scheme, parts.netloc) == ("", ""), href


def spoil(url: str, client: UUID) -> None:
    """Write hostile text into everything that is stored of a client."""
    with psycopg.connect(url, autocommit=True) as connection:
        what = {"id": client, "bad": HOSTILE, "formula": FORMULA}
        connection.execute(
            "UPDATE statesys.client SET name = %(formula)s || %(bad)s, version = %(bad)s, "
            "reply_queue = %(bad)s WHERE client_id = %(id)s",
            what,
        )
        for table in ("current_state", "state_message"):
            connection.execute(
                f"UPDATE statesys.{table} SET topic_id = topic_id || %(bad)s, "
                "user_sid = %(formula)s || %(bad)s, params = ARRAY[%(formula)s, %(bad)s], "
                "details = %(formula)s || %(bad)s WHERE client_id = %(id)s".encode(),
                what,
            )
