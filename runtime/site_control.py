"""Which settings of a site control file are ours, in which unit, and which are left there and why.

Source of names, units and defaults: for 2011 the printed site control file of a ConfigMgr 2007
site; for the Current Branch, Microsoft's "Description of state messaging in Configuration Manager"
and "Troubleshoot state message processing performance issues", whose log of a start has the units.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from runtime.durations import render_duration
from runtime.settings import Settings
from schemas.errors import SiteControlRefused
from schemas.site_control import Property, StateSystem, plain, render_state_system

_NUMBER = re.compile(r"-?\d{1,10}", re.ASCII)
_MINUTES, _HOURS = timedelta(minutes=1), timedelta(hours=1)
#: Suffixes of durations.
_SUFFIX = {_MINUTES: "m", _HOURS: "h"}


class Known(NamedTuple):
    """A setting that both have.

    Attributes:
        name: in the site control file.
        setting: in `Settings`.
        unit: of the number there, for a person.
        length: of one there; None for a number that is no duration.
        of_2011, current_branch: defaults there, in that unit.
    """

    name: str
    setting: str
    unit: str
    length: timedelta | None
    of_2011: int
    current_branch: int

    def text(self, number: str) -> str:
        """A number from there as a text for `Settings`."""
        return number if self.length is None else number + _SUFFIX[self.length]

    def number(self, value: Any) -> int:
        """A value of ours as a number from there.

        Raises:
            SiteControlRefused: it is no whole number of that unit.
        """
        if self.length is None:
            return int(value)
        if value % self.length:
            raise SiteControlRefused(
                f"{self.setting} is {render_duration(value)}, and {self.name!r} counts whole "
                f"{self.unit}: give it a value that is one"
            )
        number: int = value // self.length
        return number


KNOWN = (
    Known("Loader Threads", "loader_threads", "threads", None, 4, 4),
    # KB there are 1,024 bytes, as everywhere in Windows.
    Known("Loader Chunk Size", "loader_chunk_size", "KB", None, 256, 256),
    Known("Max Chunks Fetched", "max_chunks_fetched", "chunks", None, 100, 100),
    Known("Resync Check Interval", "resync_check_interval", "minutes", _MINUTES, 60, 15),
    Known("Min Missing Message Age", "min_missing_message_age", "minutes", _MINUTES, 2880, 2880),
    Known("Resync Merge Interval In Hours", "resync_merge_interval", "hours", _HOURS, 72, 72),
    Known("Heartbeat Msg Interval", "heartbeat_interval", "minutes", _MINUTES, 15, 60),
)
#: What we know and do not take, and why.
LEFT = {
    "Inbox Polling Interval": "a folder is polled there; RabbitMQ delivers to a loader, and "
    "inbox_polling_interval is the wait of an incomplete chunk, in milliseconds",
    "Retry Config": "a failed file is tried again there; a loader sets aside what it cannot load, "
    "and tries it again within a minute",
    "Verbose Logging": "a registry value and a log there; here each worker has --log-level",
}
_BY_NAME = {plain(known.name): known for known in KNOWN}
_LEFT_BY_NAME = {plain(name): why for name, why in LEFT.items()}


class Taken(NamedTuple):
    """A setting that we take.

    Attributes:
        name, number, unit: in the file.
        setting, value: ours; the value as a person writes it.
        of_2011, current_branch: the defaults there.
    """

    name: str
    number: int
    unit: str
    setting: str
    value: str
    of_2011: int
    current_branch: int


class Left(NamedTuple):
    """A setting that stays there."""

    name: str
    value: str
    why: str


class Reading(NamedTuple):
    """What a site control file says for us.

    Attributes:
        values: ours by name, of the types of `Settings`.
        taken: the same for a person.
        left: what we do not take, and why.
        unknown: names of properties and of inner blocks that we do not know.
        notes: sentences about the file that a person should know.
    """

    values: dict[str, Any]
    taken: list[Taken]
    left: list[Left]
    unknown: list[str]
    notes: list[str]


def settings_of(found: StateSystem) -> Reading:
    """Sort the properties of a state system into those that are ours and the others.

    Of several properties of one name the last one in the file counts.

    Raises:
        SiteControlRefused: a value cannot be used; none is of our names.
    """
    last = {plain(one.name): one for one in found.properties}
    ours = {known.setting: one for name, one in last.items() if (known := _BY_NAME.get(name))}
    if not ours:
        names = ", ".join(known.name for known in KNOWN)
        raise SiteControlRefused(f"the state system has none of these settings: {names}")
    values = _validated(ours)
    return Reading(
        values=values,
        taken=[_taken(known, values[known.setting]) for known in KNOWN if known.setting in values],
        left=[
            Left(one.name, one.text or one.number, _LEFT_BY_NAME[name])
            for name, one in last.items()
            if name in _LEFT_BY_NAME
        ],
        unknown=[
            *(one.name for name, one in last.items() if name not in _BY_NAME | _LEFT_BY_NAME),
            *dict.fromkeys(found.inner),
        ],
        notes=_notes(found, last),
    )


def render_settings(values: Mapping[str, Any]) -> str:
    """Write settings as a block of the state system, which `settings_of` reads as the same values.

    Args:
        values: by name; names that a site control file does not have are left out.

    Raises:
        SiteControlRefused: a duration is no whole number of the unit there.
    """
    return render_state_system(
        (known.name, known.number(values[known.setting]))
        for known in KNOWN
        if known.setting in values
    )


def _validated(ours: Mapping[str, Property]) -> dict[str, Any]:
    texts = {}
    for setting, one in ours.items():
        if not _NUMBER.fullmatch(one.number):
            raise _refused(one, "a whole number is needed")
        texts[setting] = _BY_NAME[plain(one.name)].text(one.number)
    try:
        checked = Settings.model_validate(texts)
    except ValidationError as error:
        problem = error.errors()[0]
        one = ours[str(problem["loc"][0])]
        raise _refused(one, problem["msg"].removeprefix("Value error, ")) from None
    return {setting: getattr(checked, setting) for setting in texts}


def _refused(one: Property, why: str) -> SiteControlRefused:
    return SiteControlRefused(
        f"{one.name!r} in line {one.line} is {one.number[:40]!r}: {why}; correct it in the file"
    )


def _taken(known: Known, value: Any) -> Taken:
    shown = str(value) if known.length is None else render_duration(value)
    return Taken(
        *(known.name, known.number(value), known.unit, known.setting, shown),
        *(known.of_2011, known.current_branch),
    )


def _notes(found: StateSystem, last: Mapping[str, Property]) -> list[str]:
    notes = []
    if len(found.blocks) > 1:
        lines = ", ".join(map(str, found.blocks))
        notes.append(f"the state system has several blocks, in lines {lines}")
    for name, known in _BY_NAME.items():
        numbers = {one.number for one in found.properties if plain(one.name) == name}
        if len(numbers) > 1:
            notes.append(
                f"{known.name} is there with several values; the last one counts, "
                f"{last[name].number} in line {last[name].line}"
            )
    if found.open is not None:
        notes.append(
            f"the file ends inside a block {found.open}: what may have stood behind it is not known"
        )
    return notes
