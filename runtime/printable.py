"""Any value as one line that is safe to print: headers and bodies come from strangers."""

import json
from datetime import datetime

#: Characters of a value in a table.
SHORT = 200


def printable(value: object, *, limit: int = SHORT) -> str:
    """A line without control characters (which a terminal would obey), cut to `limit`.

    Args:
        value: of any type: text, bytes, numbers, moments, nested tables, None (empty).
    """
    text = _text(value)
    shown = text if text.isprintable() else "".join(map(_visible, text))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def printable_text(text: str) -> str:
    """Text of several lines, its other control characters made visible."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("".join(c if c == "\t" else _visible(c) for c in line) for line in lines)


def as_json(value: object) -> object:
    """A header value as JSON data; values of types that JSON lacks become text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_text(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    return _text(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # UTF-8 cannot encode lone surrogates.
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return json.dumps(as_json(value), ensure_ascii=False)
    return str(value)


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
