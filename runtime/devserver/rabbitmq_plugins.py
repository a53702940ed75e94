"""A broker's plugins: a directory of links to those of the installation that it uses.

Erlang looks for each of about 1,200 modules in one directory after the other. The distribution has
70 of them, most of plugins that a private broker does not use; without those it starts in two
thirds of the time.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from runtime.files import directory

_APPLICATIONS = re.compile(r"\{\s*applications\s*,\s*\[(.*?)\]", re.DOTALL)


def link_plugins(script: Path, into: Path, *, enabled: Iterable[str]) -> bool:
    """Make the directory again, with links for the enabled plugins and all that these need.

    Args:
        script: the installation's start script.
        into: the directory.
        enabled: names of plugins.

    Returns:
        False where the installation has no directory of plugins beside its scripts.
    """
    found = {
        path.name.partition("-")[0]: path
        for path in (script.resolve().parent.parent / "plugins").glob("*")
    }
    if "rabbit" not in found:
        return False
    if into.is_dir():
        shutil.rmtree(into)
    directory(into)
    needed = _with_all_they_need({"rabbit", *enabled}, found)
    for name, path in found.items():
        # Libraries are not all named by the application that uses them; plugins are.
        if name in needed or not name.startswith("rabbitmq_"):
            (into / path.name).symlink_to(path)
    return True


def _with_all_they_need(wanted: set[str], found: dict[str, Path]) -> set[str]:
    needed: set[str] = set()
    while wanted:
        needed |= wanted
        wanted = {
            name
            for one in wanted & found.keys()
            for name in _applications(found[one] / "ebin" / f"{one}.app")
        } - needed
    return needed


def _applications(description: Path) -> list[str]:
    """The applications that one needs; its description is a file of Erlang terms.

    A plugin that is a single archive has none to read. The broker says what it misses.
    """
    if not description.is_file():
        return []
    match = _APPLICATIONS.search(description.read_text(encoding="utf-8"))
    return re.findall(r"\w+", match[1]) if match else []
