"""Each command of docs/questions.md answers, on a site whose truth is known."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loader.store import CollectionStore
from loader.tasks import COLLECTION_INTERVAL
from tests.support.conditions import fill, name
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(180)

_PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
_STATESYS = f"{sys.executable} -m statesys"


def questions() -> Iterator[tuple[str, str]]:
    """Every question with each of its command lines."""
    for section in _PAGE.split("\n## ")[1:]:
        question = section.splitlines()[0]
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
            for line in block.splitlines():
                yield question, line


def answer(line: str, environment: dict[str, str]) -> str:
    """Run a line of the page, with a client of the site in the place of NB-000017."""
    line = re.sub(r"\bstatesys(?= )", _STATESYS, line.replace("NB-000017", name(0)))
    done = subprocess.run(
        line, shell=True, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_question_has_a_command() -> None:
    asked = [question for question, _ in questions()]
    assert len(set(asked)) >= 14
    assert len(asked) == len(re.findall(r"^statesys ", _PAGE, re.MULTILINE))


def test_each_command_of_the_page_answers(environment: dict[str, str], database_url: str) -> None:
    fill(database_url)
    answers: dict[str, str] = {}
    for question, line in questions():
        answers[question] = answers.get(question, "") + answer(line, environment)
        if "collections create" in line:
            store = CollectionStore(database_url, name="test")
            store.evaluate_next(now=store.now(), interval=COLLECTION_INTERVAL)
            store.close()
    quiet = answers["Which clients stopped reporting?"]
    assert (name(12) in quiet, name(13) in quiet, name(0) in quiet) == (True, True, False)
    assert name(14) in answers["Which clients share an identity?"]
    assert "Failed to install update(s)" in answers["What does this code mean?"]
    assert "4 would be asked" in answers["Make these send again"]
    assert "of 15 clients" in answers["How fresh is this number?"]
    assert "partitions" in answers["How long is it kept?"]
