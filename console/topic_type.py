"""A topic type on a command line: its number, or its name in the catalogue."""

import click

from schemas.topics import catalogue

#: The largest number that the column `topic_type` holds.
_LARGEST = 2**31 - 1
_PREFIX = "STATE_TOPICTYPE_"


class TopicType(click.ParamType[int]):
    """A topic type: a number, or a name in any letter case, with or without STATE_TOPICTYPE_."""

    name = "topic type"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read a topic type."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text.isascii() and text.isdecimal():
            number = int(text)
            if number > _LARGEST:
                self.fail(f"{text} is too large; the largest topic type is {_LARGEST}", param, ctx)
            return number
        found = {row.topic_type for row in catalogue() if _bare(row.topic_name) == _bare(text)}
        if not found:
            self.fail(
                f"{text!r} is neither a number nor a topic of the catalogue; "
                "`statesys topics` lists it",
                param,
                ctx,
            )
        return min(found)


def _bare(name: str) -> str:
    return name.upper().removeprefix(_PREFIX)
