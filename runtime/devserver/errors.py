"""Errors of the private servers."""

from schemas.errors import StatesysError


class ServicesError(StatesysError):
    """A private server cannot be started or stopped; the message says what to do about it."""
