"""Named statements of a .sql file: SQL is source code and has files of its own."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def statements(package: str, file: str) -> dict[str, str]:
    """Read a file of statements, each under a line `-- name: <name>`.

    Args:
        package: that holds the file, such as `loader`.
        file: its name, such as `resync.sql`.

    Returns:
        name -> text, comments included.
    """
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
