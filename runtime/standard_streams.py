"""The standard streams of every command: they accept every character.

A character that the stream's encoding lacks is written as a Python escape, `\\u65e5`: names of
clients come from strangers, and a name must not end a command with an error. Python chooses the
encoding from locale and PYTHONIOENCODING.
"""

import codecs
import io
import os
import sys
from typing import TextIO

from runtime.log_stream import LogStream

_STDERR = 2
_ESCAPED = "backslashreplace"
#: ASCII under a name of our own. If a stream's encoding is called ASCII, click assumes that the
#: locale is wrong, and writes UTF-8.
_ASCII = "statesys_ascii"


def set_up_standard_streams() -> None:
    """Put a `LogStream` behind stderr, escape missing characters, and fill closed descriptors.

    If one of the descriptors 0 to 2 were closed, the next file or socket would get its number, and
    with it all that a library writes to stderr. Writing to a stdout that was closed fails, as on a
    full disk.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= _STDERR:
        pass
    os.close(descriptor)
    codecs.register(_own_ascii)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (for good)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=_encoding(stream), errors=_ESCAPED)
    sys.stderr = io.TextIOWrapper(
        LogStream(_STDERR),
        encoding="utf-8" if sys.stderr is None else _encoding(sys.stderr),
        errors=_ESCAPED,
        line_buffering=True,
    )


def shows_any_character() -> bool:
    """Whether stdout can show every character: its encoding is a form of Unicode."""
    return sys.stdout.encoding.lower().startswith("utf")


def _encoding(stream: TextIO) -> str:
    name = codecs.lookup(stream.encoding).name
    return _ASCII if name == "ascii" else name


def _own_ascii(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_ASCII,
        encode=ascii_.encode,
        decode=ascii_.decode,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
    )
