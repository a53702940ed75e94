"""Each command of docs/questions.md answers, on a site whose truth is known."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from loader.store.collections import CollectionStore
from loader.tasks import COLLECTION_INTERVAL
from runtime.devserver import Endpoints
from tests.support import commands, own
from tests.support.conditions import client_id, fill, name
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(180)

_PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
_SITE_CONTROL = ROOT / "tests" / "data" / "site-control.txt"
_STATESYS = f"{sys.executable} -m statesys"
_STATE = """
INSERT INTO statesys.current_state (client_id, topic_type, topic_id, user_sid, id_type, state_id,
                                    criticality, serial, message_time, digest, params)
VALUES (%s, %s, 't', '', 0, %s, 0, 9, now() - interval '1 day', '\\x00', '{}')
"""
#: Topic type and state id.
_FAILED, _WAITS = (301, 6), (402, 3)


def questions() -> Iterator[tuple[str, str]]:
    """Every question with each of its command lines."""
    for section in _PAGE.split("\n## ")[1:]:
        question = section.splitlines()[0]
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
            for line in block.splitlines():
                yield question, line


def answer(line: str, environment: dict[str, str]) -> str:
    """Run a line of the page, with a client of the site in the place of NB-000017."""
    line = line.replace("NB-000017", name(0)).replace("sitectrl.ct0", str(_SITE_CONTROL))
    program, *words = shlex.split(line)
    assert program == "statesys"
    # A shell only for a pipe: an interpreter's start takes longer than the command.
    if "|" in words:
        line = re.sub(r"\bstatesys(?= )", _STATESYS, line)
        done = subprocess.run(
            line, shell=True, env=environment, capture_output=True, text=True, check=False
        )
    else:
        done = commands.run(*words, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_question_has_a_command() -> None:
    asked = [question for question, _ in questions()]
    assert len(set(asked)) >= 14
    assert len(asked) == len(re.findall(r"^statesys ", _PAGE, re.MULTILINE))


@pytest.fixture(scope="module")
def answers(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The answers to each question of the page, on one site.

    Of its 15 clients, the first four have gaps and are not compliant with a deployment, and the
    fifth waits for another installation. The sixth sends most.
    """
    home = tmp_path_factory.mktemp("home")
    with own.site(endpoints, template=database_template(), home=home) as environment:
        url = environment["STATESYS_DATABASE_URL"]
        fill(url, {"gaps": 4, "complete": 5, "silent": 3, "quiet": 2, "duplicate identity": 1})
        with psycopg.connect(url, autocommit=True) as connection:
            for number in range(5):
                connection.execute(
                    _STATE, [client_id(number), *(_WAITS if number == 4 else _FAILED)]
                )
            connection.execute(
                "UPDATE statesys.client SET messages = 500 WHERE client_id = %s", [client_id(5)]
            )
        found: dict[str, str] = {}
        for question, line in questions():
            found[question] = found.get(question, "") + answer(line, environment)
            if "collections create" in line:
                with closing(CollectionStore(url, name="test")) as store:
                    store.evaluate_next(now=store.now(), interval=COLLECTION_INTERVAL)
        yield found


def names(text: str) -> set[int]:
    """The clients that an answer names."""
    return {number for number in range(15) if name(number) in text}


def test_which_clients_stopped_reporting(answers: dict[str, str]) -> None:
    assert names(answers["Which clients stopped reporting?"]) == {12, 13}


def test_why_is_its_compliance_unknown_or_old(answers: dict[str, str]) -> None:
    said = answers["Why is this client's compliance unknown or old, although it is healthy?"]
    assert "serials 1-8" in said
    assert "missing" in said


def test_where_exactly_is_it_stuck(answers: dict[str, str]) -> None:
    said = answers["Where exactly is it stuck?"]
    assert re.search("1-8 .* open", said)
    assert "0 letters" in said


def test_is_the_backlog_growing(answers: dict[str, str]) -> None:
    assert "mp_relayendpoint" in answers["Is the backlog growing?"]


def test_which_clients_share_an_identity(answers: dict[str, str]) -> None:
    assert names(answers["Which clients share an identity?"]) == {14}


def test_what_does_this_code_mean(answers: dict[str, str]) -> None:
    assert "Failed to install update(s)" in answers["What does this code mean?"]


def test_which_clients_are_in_which_state_and_which_have_never_told(
    answers: dict[str, str],
) -> None:
    said = answers["Which clients are in which state, and which have never told?"]
    (counted,) = re.findall(r"^ *6 +Failed to install.*? (\d+) ", said, re.MULTILINE)
    assert counted == "4"
    assert names(said) == set(range(4, 15))


def test_all_clients_that_wait_for_another_installation(answers: dict[str, str]) -> None:
    said = answers["All clients that wait for another installation to complete"]
    assert names(said) == {4}


def test_make_these_send_again(answers: dict[str, str]) -> None:
    said = answers["Make these send again"]
    # The one that waits; then those with gaps, of whom the first was asked just before.
    assert "1 would be asked over" in said
    assert "3 would be asked over" in said
    assert "1 have an open request already" in said


def test_who_floods_us(answers: dict[str, str]) -> None:
    said = answers["Who floods us?"]
    assert names(said) == {5}


def test_how_fresh_is_this_number(answers: dict[str, str]) -> None:
    said = answers["How fresh is this number?"]
    assert "of 15 clients 5 are complete up to their last report, 4 have gaps" in said
    assert re.search(r"as of \d{4}-\d\d-\d\d", said)


def test_which_settings_are_in_force(answers: dict[str, str]) -> None:
    assert "resyncs_per_check" in answers["Which settings are in force?"]


def test_can_we_keep_the_settings_of_our_configmgr_site(answers: dict[str, str]) -> None:
    said = answers["Can we keep the settings of our ConfigMgr site?"]
    assert "Heartbeat Msg Interval" in said
    assert "Inbox Polling Interval" in said


def test_give_me_exactly_this_list_as_csv(answers: dict[str, str]) -> None:
    # No client of this site is named NB-…
    (header, *rows) = answers["Give me exactly this list as CSV"].splitlines()
    assert header.startswith("name,id,version")
    assert not names(" ".join(rows))


def test_how_long_is_it_kept(answers: dict[str, str]) -> None:
    assert "partitions" in answers["How long is it kept?"]
