"""The scenario of the client itself: deployed and assigned to a site, sometimes after failures."""

from uuid import NAMESPACE_OID, uuid5

from producers.scenarios.machine import Scenario, Step, Subject, Values

_STARTED, _DOWNLOAD, _WINDOW = Step(800, 100), Step(800, 101), Step(800, 103)
_MSI_FAILED, _SUCCEEDED, _REBOOT = Step(800, 313), Step(800, 400), Step(800, 401)
_ASSIGNING, _NO_POINT, _ASSIGNED = Step(800, 500), Step(800, 604), Step(800, 700)


def _values_for(step: Step, subject: Subject) -> Values:
    # A client has one deployment of itself, so the topic id depends on the client alone.
    topic_id = str(uuid5(NAMESPACE_OID, f"statesys client {subject.client}"))
    if step == _MSI_FAILED:
        return Values(topic_id, params=("1603",), criticality=2)
    return Values(topic_id)


DEPLOYMENT = Scenario(
    start=_STARTED,
    follows={
        _STARTED: ((8, _DOWNLOAD),),
        _DOWNLOAD: ((6, _SUCCEEDED), (1, _WINDOW), (1, _MSI_FAILED)),
        _WINDOW: ((8, _DOWNLOAD),),
        _MSI_FAILED: ((8, _DOWNLOAD),),
        _SUCCEEDED: ((7, _ASSIGNING), (1, _REBOOT)),
        _REBOOT: ((8, _ASSIGNING),),
        _ASSIGNING: ((7, _ASSIGNED), (1, _NO_POINT)),
        _NO_POINT: ((8, _ASSIGNING),),
    },
    values_for=_values_for,
)
