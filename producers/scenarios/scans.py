"""The scenario of a scan for updates: wait for the catalogue, run, complete or try again."""

from uuid import NAMESPACE_OID, uuid5

from producers.scenarios.machine import Scenario, Step, Subject, Values

#: Update sources of the site.
_SOURCES = tuple(f"{{{uuid5(NAMESPACE_OID, f'statesys source {n}')}}}" for n in range(3))

_WAITING, _RUNNING, _COMPLETE = Step(501, 1), Step(501, 2), Step(501, 3)
_RETRY, _FAILED, _WITH_ERRORS = Step(501, 4), Step(501, 5), Step(501, 6)


def _values_for(step: Step, subject: Subject) -> Values:
    source = _SOURCES[subject.number % len(_SOURCES)]
    if step == _FAILED:
        return Values(source, params=("0x8024402C", "12029"), criticality=1)
    return Values(source, params=(str(subject.number),))


SCAN = Scenario(
    start=_WAITING,
    follows={
        _WAITING: ((8, _RUNNING),),
        _RUNNING: ((6, _COMPLETE), (1, _WITH_ERRORS), (1, _FAILED)),
        _FAILED: ((8, _RETRY),),
        _RETRY: ((8, _RUNNING),),
        _WITH_ERRORS: ((8, _WAITING),),
        _COMPLETE: ((8, _WAITING),),
    },
    values_for=_values_for,
)
