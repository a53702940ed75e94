"""Shows collections and their members: to a person, as JSON, as CSV."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from console.completeness import sentence
from console.csv_output import print_csv
from console.listing import going_on
from console.output import age, counted, facts, moment, print_json, stdout, table
from console.queries.clients import Completeness
from console.queries.collections import CollectionRow, MemberRow
from runtime.collection_rules import RuleRefused, parse_rule

MEMBER_COLUMNS = ("name", "id", "last_seen", "condition", "joined_at")


def print_collections(found: Sequence[CollectionRow], *, now: datetime, as_json: bool) -> None:
    """Print all collections."""
    if as_json:
        print_json({"as_of": now, "collections": [collection_as_data(row) for row in found]})
        return
    rows = [
        (
            row.name,
            "-" if row.members is None else row.members,
            evaluated_words(row, now),
            row.rule,
            problem_of(row) or "",
        )
        for row in found
    ]
    columns = ["name", "members", "evaluated", "rule", "problem"]
    stdout().print(table(columns, rows, right=["members"]))
    click.echo(f"{counted(len(found), 'collection')}; as of {moment(now)}", err=True)


def print_collection(
    found: CollectionRow, conditions: Mapping[str, int] | None, *, now: datetime, as_json: bool
) -> None:
    """Print one collection.

    Args:
        found: the collection, with what its last evaluation found.
        conditions: members by condition, counted now; None shows those of the last evaluation.
        now: the moment of `conditions`.
    """
    as_of = now if conditions is not None else found.evaluated_at
    shown = found.conditions if conditions is None else conditions
    members = None if shown is None else sum(shown.values())
    problem = problem_of(found)
    if as_json:
        told = {"members": members, "conditions": shown, "as_of": as_of, "problem": problem}
        print_json({**collection_as_data(found), **told})
        return
    rows: list[tuple[str, object]] = [
        ("name", found.name),
        ("rule", found.rule),
        ("made", f"{moment(found.created_at)} by {found.created_by}"),
        ("members", "unknown" if members is None else members),
    ]
    if shown is not None and as_of is not None:
        rows.append(("completeness", sentence(Completeness(as_of, shown), now)))
    rows.append(("as of", moment(as_of)))
    rows.append(("evaluated", evaluated_words(found, now)))
    if problem is not None:
        rows.append(("problem", problem))
    stdout().print(facts(rows))


def print_members(
    collection: CollectionRow,
    rows: Sequence[MemberRow],
    last: MemberRow | None,
    *,
    as_of: datetime,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print a page of members, and on stderr how it goes on.

    Args:
        last: the last of `rows` if the list goes on.
    """
    after = None if last is None else last.client_id
    if as_json:
        print_json(
            {"collection": collection.name, "as_of": as_of, "members": rows, "next_after": after}
        )
    elif as_csv:
        print_csv(MEMBER_COLUMNS, (member_cells(row) for row in rows))
    else:
        columns = ["name", "id", "last seen", "condition", "joined"]
        shown = [(n, i, moment(s), c, moment(j)) for n, i, s, c, j in map(member_cells, rows)]
        stdout().print(table(columns, shown))
    told = f"{counted(len(rows), 'member')}; as of {moment(as_of)}"
    click.echo(told + going_on(after), err=True)


def member_cells(row: MemberRow) -> tuple[Any, ...]:
    """The values of a member, as many as `MEMBER_COLUMNS`."""
    return row.name, row.client_id, row.last_seen, row.condition, row.joined_at


def collection_as_data(row: CollectionRow) -> dict[str, Any]:
    """A collection, for `--json`."""
    data = row._asdict()
    del data["id"]
    return {**data, "members": row.members, "problem": problem_of(row)}


def problem_of(row: CollectionRow) -> str | None:
    """Why the collection has no new members: what this version thinks of the rule comes first."""
    try:
        parse_rule(row.rule)
    except RuleRefused as error:
        return f"this version cannot read the rule: {error}"
    return row.problem


def evaluated_words(row: CollectionRow, now: datetime) -> str:
    """How long ago the rule was evaluated, and how long that took."""
    if row.evaluated_at is None:
        return "not yet"
    took = "" if row.took is None else f", in {age(row.took)}"
    return f"{age(now - row.evaluated_at)} ago{took}"
