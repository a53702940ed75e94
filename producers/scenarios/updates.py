"""The scenario of a software update: required, downloaded, installed, found installed."""

from functools import cache
from uuid import NAMESPACE_OID, uuid5

from producers.scenarios.machine import Scenario, Step, Subject, Values

#: The IDType that clients send with the id of an update.
UPDATE_ID_TYPE = 3

_REQUIRED, _INSTALLED = Step(500, 2), Step(500, 3)
_DOWNLOADING, _DOWNLOADED, _DOWNLOAD_FAILED = Step(402, 12), Step(402, 13), Step(402, 14)
_WINDOW, _PENDING, _INSTALLING = Step(402, 4), Step(402, 7), Step(402, 8)
_RESTART, _SUCCESS, _FAILED = Step(402, 9), Step(402, 10), Step(402, 11)
_GENERAL_FAILURE = Step(402, 6)

_TITLES = (
    "Cumulative Update for Windows ({kb})",
    "Security Update for Microsoft Office ({kb})",
    "Sicherheitsupdate für Windows ({kb})",
    "Mise à jour de sécurité <Windows & Office> ({kb})",
    "Windows の累積的な更新プログラム ({kb})",
)
_ERRORS = {
    _DOWNLOAD_FAILED: ("0x80072EE2", "The operation timed out"),
    _FAILED: ("0x80070643", "Fatal error during installation"),
    _GENERAL_FAILURE: ("0x80240FFF", "Unexpected error"),
}


@cache
def _update_id(number: int) -> str:
    return str(uuid5(NAMESPACE_OID, f"statesys update {number}"))


def _values_for(step: Step, subject: Subject) -> Values:
    number = subject.number
    if step.topic_type == 500:
        # The parameter is the revision of the catalogue entry that the client looked for.
        return Values(_update_id(number), UPDATE_ID_TYPE, (str(100 + number % 9),))
    title = _TITLES[number % len(_TITLES)].format(kb=f"KB{5_030_000 + number}")
    if step not in _ERRORS:
        return Values(_update_id(number), UPDATE_ID_TYPE, (title,))
    code, words = _ERRORS[step]
    return Values(
        _update_id(number),
        UPDATE_ID_TYPE,
        (title, code, "", words),
        criticality=1,
        details=f'<Error Code="{code}" Attempt="{1 + subject.random_bits % 3}">{words}</Error>',
        details_type="text/xml",
    )


UPDATE = Scenario(
    start=_REQUIRED,
    follows={
        _REQUIRED: ((8, _DOWNLOADING),),
        _DOWNLOADING: ((7, _DOWNLOADED), (1, _DOWNLOAD_FAILED)),
        _DOWNLOAD_FAILED: ((8, _DOWNLOADING),),
        _DOWNLOADED: ((5, _INSTALLING), (2, _WINDOW), (1, _PENDING)),
        _WINDOW: ((8, _INSTALLING),),
        _PENDING: ((8, _INSTALLING),),
        _INSTALLING: ((4, _SUCCESS), (3, _RESTART), (1, _FAILED)),
        _RESTART: ((8, _SUCCESS),),
        _FAILED: ((7, _INSTALLING), (1, _GENERAL_FAILURE)),
        _GENERAL_FAILURE: ((8, _PENDING),),
        _SUCCESS: ((8, _INSTALLED),),
    },
    values_for=_values_for,
)
