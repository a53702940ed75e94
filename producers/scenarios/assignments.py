"""The scenario of an assignment, of a machine or its user: evaluated, enforced, compliant."""

from functools import cache
from uuid import NAMESPACE_OID, uuid5

from producers.scenarios.machine import Scenario, Step, Subject, Values

#: One assignment in this many is for a user.
_USER_SHARE = 4
_DOMAIN_SID = "S-1-5-21-1004336348-1177238915-682003330"
#: Windows numbers accounts from 1000 on.
_FIRST_ACCOUNT = 1000

_ACTIVATED, _EVALUATED, _EVALUATION_FAILED = Step(302, 1), Step(302, 2), Step(302, 3)
_DOWNLOADING, _WAITING, _INSTALLING = Step(301, 7), Step(301, 10), Step(301, 1)
_RESTART, _FAILED, _SUCCESS = Step(301, 5), Step(301, 6), Step(301, 4)
_NON_COMPLIANT, _COMPLIANT = Step(300, 2), Step(300, 1)


@cache
def _assignment_id(number: int) -> str:
    return f"{{{str(uuid5(NAMESPACE_OID, f'statesys assignment {number}')).upper()}}}"


def _values_for(step: Step, subject: Subject) -> Values:
    failed = step in (_FAILED, _EVALUATION_FAILED)
    params = ("0x87D00664",) if failed else ()
    topic_id = _assignment_id(subject.number)
    if subject.number % _USER_SHARE:
        return Values(topic_id, params=params, criticality=int(failed))
    account = _FIRST_ACCOUNT + subject.client
    return Values(
        topic_id,
        params=params,
        criticality=int(failed),
        user_name=f"EXAMPLE\\user{account}",
        user_sid=f"{_DOMAIN_SID}-{account}",
    )


ASSIGNMENT = Scenario(
    start=_ACTIVATED,
    follows={
        _ACTIVATED: ((7, _EVALUATED), (1, _EVALUATION_FAILED)),
        _EVALUATION_FAILED: ((8, _ACTIVATED),),
        _EVALUATED: ((5, _NON_COMPLIANT), (3, _COMPLIANT)),
        _NON_COMPLIANT: ((6, _DOWNLOADING), (2, _WAITING)),
        _WAITING: ((8, _DOWNLOADING),),
        _DOWNLOADING: ((8, _INSTALLING),),
        _INSTALLING: ((5, _SUCCESS), (2, _RESTART), (1, _FAILED)),
        _RESTART: ((8, _SUCCESS),),
        _FAILED: ((8, _INSTALLING),),
        _SUCCESS: ((8, _COMPLIANT),),
    },
    values_for=_values_for,
)
