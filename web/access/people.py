"""Who asks, and what this person may do."""

from enum import StrEnum
from typing import Annotated, NamedTuple

from fastapi import Depends, Request


class Role(StrEnum):
    """What a person may do; an operator may also see everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"


class Person(NamedTuple):
    """Somebody who is allowed in.

    Attributes:
        name: as the person logged in, or as a trusted proxy says.
    """

    name: str
    role: Role

    @property
    def may_act(self) -> bool:
        """Whether this person may change something."""
        return self.role is Role.OPERATOR


def may_act(request: Request) -> bool:
    """Whether a page links to actions; an error page may not know yet who asks."""
    person = getattr(request.state, "person", None)
    return isinstance(person, Person) and person.may_act


def _person(request: Request) -> Person:
    person = request.state.person
    assert isinstance(person, Person)
    return person


#: The argument of a page that needs to know who asks.
ThePerson = Annotated[Person, Depends(_person)]
