"""The scenario of a configuration baseline: evaluated repeatedly, with findings in the details."""

from functools import cache
from uuid import NAMESPACE_OID, uuid5

from producers.scenarios.machine import Scenario, Step, Subject, Values

_COMPLIANT, _NON_COMPLIANT, _ERROR = Step(401, 1), Step(401, 2), Step(401, 4)
_UNKNOWN, _PARTIAL, _NOT_CONFIGURED = Step(401, 5), Step(401, 6), Step(401, 7)


@cache
def _baseline_id(number: int) -> str:
    scope = uuid5(NAMESPACE_OID, "statesys site")
    return f"ScopeId_{scope}/Baseline_{uuid5(scope, str(number))}"


def _values_for(step: Step, subject: Subject) -> Values:
    version = str(1 + subject.number % 5)
    if step not in (_NON_COMPLIANT, _PARTIAL, _ERROR):
        return Values(_baseline_id(subject.number), params=(version,))
    findings = "".join(
        f'<Rule Id="Rule_{rule}" Value="{subject.random_bits >> rule & 0xFF}"/>'
        for rule in range(1 + subject.random_bits % 4)
    )
    return Values(
        _baseline_id(subject.number),
        params=(version, ""),
        criticality=2,
        details=f"<Findings>{findings}</Findings>",
        details_type="text/xml",
    )


BASELINE = Scenario(
    start=_UNKNOWN,
    follows={
        _UNKNOWN: ((4, _COMPLIANT), (3, _NON_COMPLIANT), (1, _NOT_CONFIGURED)),
        _NOT_CONFIGURED: ((8, _UNKNOWN),),
        _COMPLIANT: ((6, _COMPLIANT), (2, _NON_COMPLIANT)),
        _NON_COMPLIANT: ((4, _PARTIAL), (3, _COMPLIANT), (1, _ERROR)),
        _PARTIAL: ((6, _COMPLIANT), (2, _NON_COMPLIANT)),
        _ERROR: ((8, _UNKNOWN),),
    },
    values_for=_values_for,
)
