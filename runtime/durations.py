"""Durations as people write them: `200ms`, `2s`, `15m`, `48h`, `90d`."""

import re
from datetime import timedelta

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)", re.ASCII)
#: With a longer one, "now minus a duration" is before the first date that Python knows.
_LONGEST = timedelta(days=36500)
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def parse_duration(value: object) -> object:
    """Read a duration text. Other values are returned as they are; pydantic checks them.

    Raises:
        ValueError: the text is not a duration, or is longer than 36,500 days.
    """
    if not isinstance(value, str):
        return value
    found = _FORM.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"{value!r} is no duration; write it as 200ms, 2s, 15m, 48h or 90d")
    number, unit = float(found[1]), _UNITS[found[2]]
    if number > _LONGEST / unit:
        raise ValueError(f"{value[:40]!r} is longer than {render_duration(_LONGEST)}")
    return number * unit


def render_value(value: object) -> str:
    """Write a setting as a person writes it in a flag; only a duration has a form of its own."""
    return render_duration(value) if isinstance(value, timedelta) else str(value)


def render_duration(value: timedelta) -> str:
    """Write a duration in the largest unit that gives a whole number."""
    for name in ("d", "h", "m", "s"):
        if value and value % _UNITS[name] == timedelta(0):
            return f"{value // _UNITS[name]}{name}"
    return "0s" if not value else f"{value // _UNITS['ms']}ms"
