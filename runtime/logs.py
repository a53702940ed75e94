"""Logs: one line for each unit of work, an event name plus keys, on stderr or in a file."""

import logging
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime.log_file import LogFile
from runtime.log_stream import Unwritten, log_stream, log_to
from schemas.cmtrace import Kind, LogLine, render_line

#: Log -> the component in CMTrace's lines, both named as ConfigMgr's own.
_COMPONENTS = {
    "statesys": "SMS_STATE_SYSTEM",
    "mp_relay": "MP_Relay",
    "statemessage": "StateMessage",
}
_KINDS = {"warning": Kind.WARNING, "error": Kind.ERROR, "critical": Kind.ERROR}


def set_up_logs(
    *,
    form: str,
    level: str,
    log: str = "statesys",
    file: Path | None = None,
    max_size: int = 250_000,
) -> None:
    """Configure structlog once for the process.

    Args:
        form: `console` for people (colours on a terminal, none with NO_COLOR), `json`, or
            `cmtrace`.
        level: lowest level written: debug, info, warning or error.
        log: whose log it is: `statesys`, `mp_relay` or `statemessage`, the name of its file.
        file: a file, or a directory that has or gets the log's own file; None means stderr.
        max_size: bytes at which the file is replaced.

    Raises:
        SettingsError: the file cannot be written.
    """
    # Imported late: it is slow to import, and few commands log.
    import structlog  # noqa: PLC0415

    opened = None if file is None else LogFile(_in_directory(file, log), max_size)
    target: Any = opened or sys.stderr
    colours = opened is None and sys.stderr.isatty() and "NO_COLOR" not in os.environ
    places = structlog.processors.CallsiteParameter
    callsite: list[Any] = []
    renderer: Any
    if form == "cmtrace":
        # Looking at the stack costs time, so only the form that shows the place does it.
        callsite = [structlog.processors.CallsiteParameterAdder({places.FILENAME, places.LINENO})]
        renderer = _CMTrace(_COMPONENTS[log], structlog.processors.LogfmtRenderer())
    elif form == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *callsite,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # One write for each line: none is lost in part.
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    if opened is not None:
        log_to(lambda: opened.stream)
    stream = log_stream()
    if stream is not None:
        stream.describe = lambda unwritten: str(renderer(None, "", _lines_lost(unwritten)))


class _CMTrace:
    """Renders an event as CMTrace reads it: the event and its keys, an exception below them."""

    def __init__(self, component: str, keys: Any) -> None:
        self._component = component
        self._keys = keys

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> str:
        at = datetime.fromisoformat(event.pop("timestamp")).astimezone()
        kind = _KINDS.get(event.pop("level"), Kind.INFORMATION)
        file, line = event.pop("filename", ""), event.pop("lineno", "")
        exception = event.pop("exception", None)
        words = [str(event.pop("event")), self._keys(logger, method, event)]
        text = " ".join(filter(None, words))
        return render_line(
            LogLine(
                text=text if exception is None else f"{text}\n{exception}",
                at=at,
                component=self._component,
                kind=kind,
                thread=threading.get_native_id(),
                file=f"{file}:{line}" if file else "",
            )
        )


def _in_directory(file: Path, log: str) -> Path:
    return file / f"{log}.log" if file.is_dir() else file


def _lines_lost(unwritten: Unwritten) -> dict[str, Any]:
    """The event that tells of lines that could not be written; at any level."""
    return {
        "event": "log.lines_lost",
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat(),
        "lines": unwritten.lines,
        "since": unwritten.since.isoformat(timespec="seconds"),
    }
