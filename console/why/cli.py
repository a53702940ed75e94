"""`statesys why`."""

import click

from console.output import facts as facts_table
from console.output import print_json, stdout
from console.why.evidence import answer_as_data, evidence_rows
from console.why.facts import Topic, gather
from console.why.verdict import answer
from runtime.command import settings_without_logs
from runtime.options import GivenClient, client_argument, json_option
from schemas.report import MAX_NAME_LENGTH

#: PostgreSQL's integer, as in the tables.
_TOPIC_TYPE = click.IntRange(-(2**31), 2**31 - 1)


class _TopicId(click.ParamType[str]):
    """The id of a topic: any text that a report may carry."""

    name = "topic id"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Refuse what no report can carry."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("the topic id is no text", param, ctx)
        if len(text) > MAX_NAME_LENGTH:
            self.fail(f"the topic id is longer than {MAX_NAME_LENGTH} characters", param, ctx)
        return text


@click.command()
@client_argument
@click.argument("topic_type", metavar="[TOPIC_TYPE]", type=_TOPIC_TYPE, required=False)
@click.argument("topic_id", metavar="[TOPIC_ID]", type=_TopicId(), required=False)
@json_option
def why(
    *, client: GivenClient, topic_type: int | None, topic_id: str | None, as_json: bool
) -> None:
    """Tell why a client's state is unknown or old: one sentence, and what supports it.

    With a topic type and a topic id, the answer is about that state; without, about the client.

    The exit code is 0 whenever there is an answer. An id that the server never heard of is
    answered, as `trace` does for a serial: its reports may lie in the dead letters. A name is not:
    no client has it, so there is nothing to look for (exit code 1).

    \b
    Example:
      statesys why PC-0042
      statesys why PC-0042 301 '{A1C29D2E-6A2B-4E57-9E0E-7D1F1B5C9A11}'
    """
    topic = None if topic_type is None else Topic(topic_type, topic_id)
    facts = gather(settings_without_logs(), client, topic)
    found = answer(facts)
    if as_json:
        print_json(answer_as_data(facts, found))
        return
    click.echo(found.sentence)
    stdout().print(facts_table(evidence_rows(facts)))
    if facts.broker is None:
        click.echo(
            "The broker could not be read: dead letters and queues were not looked at, and the "
            "answer is from the database alone.",
            err=True,
        )
