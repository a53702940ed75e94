"""Why a message is in `statesys.dead`: the closed list of reasons, and what each means."""

from enum import StrEnum


class Reason(StrEnum):
    """One broken rule. The header `statesys-reason` carries its value."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Reason":
        """Make the member from its value and the sentence shown to an operator."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    NOT_WELL_FORMED = "not_well_formed", "not well-formed XML"
    DOCTYPE = "doctype", "a DOCTYPE or an entity, which no report may have"
    TOO_LARGE = "too_large", "a body over 8 MiB, or over 12 MiB once rendered as SMX"
    TOO_LONG = "too_long", "a name, topic id, user or SID over 512 characters"
    NO_CLIENT_ID = "no_client_id", "no ClientID in the report header"
    BAD_CLIENT_ID = "bad_client_id", "a ClientID that is no GUID"
    NO_STATE_MESSAGE = "no_state_message", "a report without a state message"
    BAD_SERIAL = "bad_serial", "a serial that is not in 1..2^63-2"
    BAD_DATE = "bad_date", "a date that is no CIM datetime of the years 1970 to 2200"
    BAD_NUMBER = (
        "bad_number",
        "a type or criticality that is no 32-bit integer, or a state id not in -2^31..2^32-1",
    )
    BAD_STRUCTURE = "bad_structure", "an element or attribute that is missing or misplaced"
    SERIAL_CONFLICT = "serial_conflict", "two different messages under one serial in one report"
    NEWER_FORMAT = (
        "newer_format",
        "a batch in a newer format than this loader reads: upgrade the loaders, then replay it",
    )
    QUARANTINED = "quarantined", "a report of a client that an operator put into quarantine"
    DATABASE = "database", "PostgreSQL refused the message; the detail has its words"
    DELIVERY_LIMIT = "delivery_limit", "the broker gave up after too many redeliveries"
