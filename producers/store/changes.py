"""The rows that one transaction of a fleet writes, collected and written together.

In SQLite, a call costs more than a row. Therefore the rows of a few hundred clients are collected,
and each statement runs once over all of them.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from producers.client import Client, Rendered, is_state
from producers.faults import Publish
from producers.seeded import drawn_uuid
from schemas.report import HEARTBEAT_TOPIC, StateMessage

#: Writes a text as JSON; an encoder for lists takes three times as long for a few texts.
_json_text = json.encoder.encode_basestring


class Changes:
    """Collects the changes of some clients at one moment.

    Args:
        now: the moment, timezone-aware.
        id_seed: seed of the message ids. It belongs to one store, so that two stores with the same
            fleet seed do not make the same ids.
    """

    def __init__(self, now: datetime, id_seed: int) -> None:
        self._at = now.isoformat()
        self._second = int(now.timestamp())
        self._id_seed = id_seed
        self._rows: dict[str, list[tuple[Any, ...]]] = {
            name: []
            for name in (
                "save_state",
                "save_sent",
                "save_outgoing",
                "save_answered",
                "save_injected",
                "set_forwarded",
                "count_cycle",
            )
        }
        #: Client numbers, one for each report that goes ahead of older, held ones of its client.
        self._passing: list[int] = []
        self._reports = self._messages = self._heartbeats = 0

    def count_cycle(self, client: Client) -> None:
        """Count a finished forward cycle of a client."""
        self._rows["count_cycle"].append((client.number,))

    def record(self, client: Client, messages: Iterable[StateMessage]) -> None:
        """Save states that wait for the client's next report."""
        self._rows["save_state"] += (state_row(client, m, None) for m in messages)

    def forward(
        self,
        client: Client,
        report: Rendered,
        publishes: Sequence[Publish] | None = None,
        fault: str | None = None,
    ) -> None:
        """Save a rendered report: its messages as sent, their states, its bytes in the outbox.

        Args:
            client: the sender.
            report: the rendered report.
            publishes: what goes to the outbox instead of the report, if a fault is injected.
            fault: name of the injected fault.
        """
        rows = self._rows
        first, last = report.first_serial, report.last_serial
        life = (client.life,) if client.life else ()
        message_id = drawn_uuid(self._id_seed, client.number, first, *life).bytes
        for message, digest in zip(report.messages, report.digests, strict=True):
            rows["save_sent"].append((client.number, client.life, message.serial, digest))
            if is_state(message):
                rows["save_state"].append(state_row(client, message, digest))
            self._heartbeats += message.topic_type == HEARTBEAT_TOPIC
        if publishes is None:
            publishes = (Publish(report.body),)
        if any(not publish.held for publish in publishes):
            self._passing.append(client.number)
        for publish in publishes:
            rows["save_outgoing"].append(
                (
                    client.number,
                    message_id,
                    publish.body,
                    first,
                    last,
                    len(report.messages),
                    None if report.request_id is None else report.request_id.bytes,
                    self._second,
                    publish.held or None,
                )
            )
        if fault is not None:
            self.inject(fault, client, first, last, message_id)
        rows["set_forwarded"].append((last, self._at, client.number))
        self._reports += 1
        self._messages += len(report.messages)

    def inject(
        self, fault: str, client: Client, first: int, last: int, message_id: bytes | None = None
    ) -> None:
        """Record an injected fault.

        Args:
            fault: its name.
            client: the client, in the life in which the serials were used.
            first, last: the serials that the fault concerns.
            message_id: of the report; None if the fault does not concern exactly one report.
        """
        self._rows["save_injected"].append(
            (fault, client.number, client.life, message_id or bytes(16), first, last, self._at)
        )

    def answer(self, client: Client, request_id: UUID, reports: tuple[Rendered, ...]) -> None:
        """Save the answer to a resync request, one report or more."""
        for report in reports:
            self.forward(client, report)
        self._rows["save_answered"].append(
            (
                client.number,
                request_id.bytes,
                reports[0].first_serial,
                reports[-1].last_serial,
                self._at,
            )
        )

    def write(self, connection: sqlite3.Connection, sql: Mapping[str, str]) -> None:
        """Write the collected rows in the open transaction of a connection."""
        # Done before the new reports are inserted: only older held reports are counted down.
        holding = {client for (client,) in connection.execute(sql["holding_clients"])}
        if holding:
            passed = ((client,) for client in self._passing if client in holding)
            connection.executemany(sql["let_one_pass"], passed)
        for name, rows in self._rows.items():
            connection.executemany(sql[name], rows)
        connection.execute(sql["count_work"], (self._reports, self._messages, self._heartbeats))
        if holding:
            connection.execute(sql["release"])
            connection.execute(sql["forget_released"])


def state_row(client: Client, message: StateMessage, digest: bytes | None) -> tuple[Any, ...]:
    """Make a row of the table `state` for the statement `save_state`."""
    m = message
    return (
        client.number,
        m.topic_type,
        m.topic_id,
        m.user_sid,
        m.id_type,
        m.user_name,
        m.state_id,
        m.criticality,
        m.message_time.isoformat(),
        _json_texts(m.params),
        m.details,
        m.details_type,
        m.serial,
        digest,
    )


def state_message(row: tuple[Any, ...]) -> StateMessage:
    """Make a message without serial from a row of `unsent_between` or `states_of`."""
    _client, kind, topic_id, sid, id_type, user, state, critical, at, params, details, form = row
    return StateMessage(
        None,
        None,
        kind,
        topic_id,
        id_type,
        user,
        sid,
        state,
        critical,
        datetime.fromisoformat(at),
        tuple(json.loads(params)),
        details,
        form,
    )


def _json_texts(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_json_text, texts))}]" if texts else "[]"
