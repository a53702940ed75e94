"""The statements of `queries.sql`, by name."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Every statement of `queries.sql`, by its name."""
    parts = _NAME.split(_text("queries.sql"))
    named = zip(parts[1::2], parts[2::2], strict=True)
    return {name: _COMMENT.sub("", text).strip() for name, text in named}


def schema() -> str:
    """The script that makes an empty store."""
    return _text("schema.sql")


def _text(name: str) -> str:
    return files("producers.store").joinpath(name).read_text(encoding="utf-8")
