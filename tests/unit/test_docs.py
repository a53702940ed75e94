"""Facts that live twice, in the code and in the documents, agree."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import click
import pytest
from lxml import etree

from runtime.broker import Properties
from runtime.broker.dead_letters import dead_letter
from runtime.broker.messages import batch_properties, report_properties, request_properties
from runtime.durations import render_duration
from runtime.in_force import unit
from runtime.settings import PREFIX, Settings
from schemas import errors
from schemas.errors import ExitCode, Refused, StatesysError
from schemas.refusal import Reason
from schemas.report_reader import parse_report
from schemas.resync import ResyncReason, ResyncRequest, parse_request
from schemas.smx import parse_batch
from schemas.topology import QUEUES, is_reply_queue, reply_queue
from statesys import cli
from tests.support.commands import commands
from tests.support.paths import ROOT

README, WIRE = ROOT / "README.md", ROOT / "docs" / "wire.md"
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

#: Settings whose values are words; README lists these in the place of a unit.
CHOICES = ("log_format", "log_level")
MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
READERS: Mapping[str, Callable[[bytes], object]] = {
    "Report": parse_report,
    "Batch": parse_batch,
    "ResyncRequest": parse_request,
}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def table(page: Path, *heading: str) -> list[list[str]]:
    """The rows of the one table that has these column titles."""
    lines = text(page).splitlines()
    starts = [at for at, line in enumerate(lines) if cells(line) == list(heading)]
    assert len(starts) == 1, f"{name(page)} has {len(starts)} tables {heading}"
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


def cells(line: str) -> list[str]:
    # "\|" is a character of a cell, not its end.
    parts = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [part.strip().replace("\\|", "|") for part in parts]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words of every call of `statesys` in the page's shell blocks."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            # Variables may stand before it, and `eval "$(` or `name=$(`.
            ours = re.match(
                r"""\s*(?:\w+='[^']*'\s+)*(?:eval "\$\(|\w+=\$\()?(statesys .*)""", line
            )
            if ours is not None:
                # A comment, a pipe, a redirection or a bracket ends the call.
                yield re.split(r"\s#|[|>)]", ours[1])[0].split()


def anchor(heading: str) -> str:
    """The name that a heading gets in a rendered page."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def default(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"`{render_duration(value)}`"
    return "unset" if value is None else f"`{value}`"


# -- README ----------------------------------------------------------------------------------


def test_every_setting_is_in_the_readme_with_its_flag_and_default() -> None:
    flags: dict[str, set[str]] = {}
    for _, command in commands():
        for parameter in command.params:
            if parameter.name in Settings.model_fields:
                flags.setdefault(parameter.name, set()).add(parameter.opts[0])
    expected = {
        f"`{PREFIX}{field.upper()}`": (
            ", ".join(f"`{flag}`" for flag in sorted(flags.get(field, ()))) or "-",
            default(info.default),
        )
        for field, info in Settings.model_fields.items()
    }
    rows = table(README, "variable", "flag", "unit", "default", "why")
    assert {row[0]: (row[1], row[3]) for row in rows} == expected
    assert all(words and why for _, _, words, _, why in rows)
    units = {row[0].strip("`").removeprefix(PREFIX).lower(): row[2] for row in rows}
    assert {name: unit(name) for name in units if unit(name)} == {
        name: words for name, words in units.items() if name not in {"home", "log_file", *CHOICES}
    }


def test_every_command_is_in_the_readme_with_its_arguments() -> None:
    expected = set()
    for path, command in commands():
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        words = [p.metavar or (p.name or "").upper() for p in arguments]
        expected.add(f"`{' '.join((path, *words))}`")
    rows = table(README, "command", "what it does")
    assert {row[0] for row in rows} == expected
    assert len(rows) == len(expected)


def test_the_exit_codes_are_told_in_readme_help_and_the_table_of_errors() -> None:
    expected = set(ExitCode) - {ExitCode.INTERRUPTED}
    rows = table(README, "code", "meaning")
    assert {int(row[0]) for row in rows} == expected
    assert f"ends with {ExitCode.INTERRUPTED:d};" in prose(README)
    promised = re.findall(r"(\d) [a-z]", cli.help.split("Exit codes:")[1] if cli.help else "")
    assert {int(code) for code in promised} == expected
    told = dict(re.findall(r"^`(\w+)` .+ (\d)$", errors.__doc__ or "", re.MULTILINE))
    assert told == {
        kind.__name__: f"{kind.exit_code:d}"
        for kind in StatesysError.__subclasses__()
        if kind.__module__ == errors.__name__
    }


# -- docs/wire.md ----------------------------------------------------------------------------


def test_the_refusal_reasons_are_those_of_the_code() -> None:
    rows = table(WIRE, "reason", "meaning")
    assert rows == [[f"`{reason.value}`", reason.meaning] for reason in Reason]


def test_the_queues_are_those_of_the_topology() -> None:
    expected = []
    for queue in QUEUES:
        arguments = {key: value if value != "" else '""' for key, value in queue.arguments.items()}
        shown = ", ".join(f"`{key}: {value}`" for key, value in arguments.items())
        expected.append([f"`{queue.name}`", queue.carries, shown])
    assert table(WIRE, "queue", "carries", "arguments") == expected


def test_the_properties_of_each_message_are_those_that_are_written() -> None:
    report = report_properties(
        UUID(int=0),
        first_serial=1,
        last_serial=1,
        messages=1,
        message_id=UUID(int=1),
        timestamp=0,
        reply_to="q",
        correlation_id="r",
    )
    rows = [row for row, _ in table(WIRE, "property", "value") if "exchange" not in row]
    assert {word for row in rows for word in re.findall("`(.+?)`", row)} == written(report)
    batch = batch_properties(UUID(int=1), reports=1, messages=1, sent_at=MOMENT)
    request = request_properties(
        ResyncRequest(UUID(int=1), UUID(int=0), ResyncReason.MISSING, 1, MOMENT),
        expires_after=timedelta(minutes=1),
    )
    for properties, line in (
        (batch, r"The AMQP message carries the batch's id.+"),
        (request, r"The AMQP message has the request's id.+"),
    ):
        (sentence,) = re.findall(line, text(WIRE))
        assert set(properties.headers or {}) <= set(re.findall("`(.+?)`", sentence))


def test_the_headers_of_a_dead_letter_are_those_that_are_written() -> None:
    refusal = Refused(Reason.DATABASE, "why")
    letter = dead_letter(Properties(), refusal, stage="loader", queue="q", now=MOMENT)
    rows = table(WIRE, "header", "value")
    assert [row[0] for row in rows] == [f"`{header}`" for header in letter.headers or {}]


def written(properties: Properties) -> set[str]:
    """Names of the properties and headers that are set."""
    given = {key for key, value in vars(properties).items() if value is not None}
    return given - {"headers"} | set(properties.headers or {})


def test_reply_queues_are_named_as_the_page_says() -> None:
    queue = reply_queue(UUID(int=0))
    assert is_reply_queue(queue.name)
    assert re.fullmatch(r"statesys\.resync\.[0-9a-f]{8}", queue.name)
    assert queue.arguments == next(q.arguments for q in QUEUES if q.name == "statesys.resync")
    assert "`statesys.resync.<8 hexadecimal digits>`" in text(WIRE)


def test_every_example_is_read_by_its_reader() -> None:
    examples = blocks(WIRE, "xml")
    roots = []
    for example in examples:
        root = str(etree.fromstring(example.encode()).tag)
        READERS[root](example.encode())
        roots.append(root)
    assert set(roots) == set(READERS)


def test_the_example_of_an_answer_makes_a_claim() -> None:
    reports = [parse_report(e.encode()) for e in blocks(WIRE, "xml") if e.startswith("<Report>")]
    claims = [report.claim for report in reports if report.claim is not None]
    request = next(
        parse_request(e.encode()) for e in blocks(WIRE, "xml") if e.startswith("<ResyncRequest")
    )
    assert [claim.request_id for claim in claims] == [request.request_id]
    assert claims[0].first_serial > request.highest_serial


# -- all pages -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, fragment = target.partition("#")
        found = (page.parent / unquote(path)).resolve() if path else page
        assert found.exists(), f"{name(page)} links to {target}"
        if fragment:
            headings = re.findall(r"^#+ (.+)$", prose(found), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_in_a_code_block_is_one_of_ours(page: Path) -> None:
    known = dict(commands())
    for words in command_lines(page):
        path = next((p for n in (3, 2) if (p := " ".join(words[:n])) in known), None)
        assert path is not None, f"{name(page)}: {' '.join(words)}"
        allowed = {option for p in known[path].params for option in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= allowed, f"{name(page)}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_variable_is_a_setting(page: Path) -> None:
    settings = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    flags = {str(option.envvar) for _, command in commands() for option in command.params}
    # Variables of compose.yaml and of the tests.
    others = {
        f"{PREFIX}{word}" for word in ("PASSWORD", "TEST_HOME", "TEST_KEEP", "SCREENSHOT_DIR")
    }
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text(page))) <= settings | flags | others


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", text(DECISIONS / "README.md"), re.M
    )
    assert [(number, file) for number, file, _ in listed] == [(p.name[:4], p.name) for p in pages]
    for page, (number, _, title) in zip(pages, listed, strict=True):
        assert text(page).startswith(f"# {number}: {title}\n"), name(page)
        sections = re.findall(r"^## (.+)$", text(page), re.MULTILINE)
        assert sections == ["Context", "Decision", "Consequences"], name(page)
