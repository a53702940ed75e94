"""Logs: one line for each unit of work, an event name plus keys, on stderr."""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from runtime.log_stream import Unwritten, log_stream
from runtime.settings import Settings, load_settings


def settings_and_logs(*, usual_level: str | None = None, **flags: Any) -> Settings:
    """Read the settings, and set up the logs as they say. Every command begins with this.

    Args:
        usual_level: the lowest level written if neither flag nor variable chooses one.
        flags: as for `load_settings`.
    """
    settings = load_settings(**flags)
    chosen = "log_level" in settings.model_fields_set
    level = None if chosen else usual_level
    set_up_logs(form=settings.log_format, level=level or settings.log_level)
    return settings


def set_up_logs(*, form: str, level: str) -> None:
    """Configure structlog once for the process.

    Args:
        form: `console` for people (colours on a terminal, none with NO_COLOR), or `json`.
        level: lowest level written: debug, info, warning or error.
    """
    # Imported late: it is slow to import, and --help does not need it.
    import structlog  # noqa: PLC0415

    colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # One write for each line, so that no line is lost in part.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    stream = log_stream()
    if stream is not None:
        stream.describe = lambda unwritten: str(renderer(None, "", _lines_lost(unwritten)))


def _lines_lost(unwritten: Unwritten) -> dict[str, Any]:
    """The event that reports lost lines, whatever the lowest level is."""
    return {
        "event": "log.lines_lost",
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat(),
        "lines": unwritten.lines,
        "since": unwritten.since.isoformat(timespec="seconds"),
    }
