"""Bytes that are no text, for people: their places, their values, and what is ASCII among them."""

_WIDTH = 16


def hexdump(data: bytes) -> str:
    """Sixteen bytes a line, as `00000010  3c 3f 78 …  |<?x…|`."""
    return "\n".join(_line(at, data[at : at + _WIDTH]) for at in range(0, len(data), _WIDTH))


def _line(at: int, part: bytes) -> str:
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{at:08x}  {part.hex(' '):<{_WIDTH * 3 - 1}}  |{shown}|"
