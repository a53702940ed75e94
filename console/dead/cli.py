"""`statesys dead`: list, show, replay, purge."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from console.dead.box import Box, Choice, Moved
from console.dead.view import list_table, readable, show_letter
from console.output import counted, print_json, stdout
from runtime.broker import Administration
from runtime.broker.dead_letters import headers_of
from runtime.command import settings_without_logs
from runtime.options import json_option
from runtime.printable import as_json as harmless
from schemas.errors import StatesysError
from schemas.refusal import Reason

_reason = click.option(
    "--reason",
    metavar="REASON",
    help=f"Only letters of this reason: {', '.join(Reason)}, or a word of the broker's.",
)


@click.group()
def dead() -> None:
    """Dead letters: list, show, replay and purge them.

    The id of a dead letter is its message_id, or the first 16 digits of its body's SHA-256 where
    it has none. Dead letters with one id are copies of one message and are chosen together.
    """


@dead.command("list")
@_reason
@json_option
def list_letters(*, reason: str | None, as_json: bool) -> None:
    """List the dead letters, oldest first, at most 10,000. They all stay in the queue.

    \b
    Example:
      statesys dead list
      statesys dead list --reason not_well_formed --json
    """
    chosen = Choice(reason=reason)
    with _box() as box:
        letters = [letter for letter, _ in box.look() if chosen(letter)]
        cut = box.cut
    if as_json:
        print_json([letter.as_data() for letter in letters])
    else:
        stdout().print(list_table(letters))
    more = " (only the oldest 10,000 were looked at)" if cut else ""
    click.echo(counted(len(letters), "letter") + more, err=True)


@dead.command()
@click.argument("letter_id", metavar="N|ID")
@click.option("--raw", is_flag=True, help="Only the body, byte for byte.")
@json_option
def show(*, letter_id: str, raw: bool, as_json: bool) -> None:
    """Show a dead letter: why it was refused, its headers, its body as text.

    \b
    Example:
      statesys dead show 1
      statesys dead show 1 --raw > report.xml
    """
    found = None
    with _box() as box:
        for number, (letter, delivery) in enumerate(box.look(), 1):
            if found is None and letter_id in (letter.name, str(number)):
                found = letter, delivery
    if found is None:
        raise StatesysError(f"no dead letter {letter_id}; `statesys dead list` shows them")
    letter, delivery = found
    if raw:
        click.echo(delivery.body, nl=False)
    elif as_json:
        headers = harmless(dict(headers_of(delivery.properties)))
        body, _ = readable(delivery.body)
        print_json({**letter.as_data(), "headers": headers, "body": body})
    else:
        show_letter(letter, delivery, stdout())


@dead.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every letter.")
@_reason
@json_option
def replay(*, ids: tuple[str, ...], everything: bool, reason: str | None, as_json: bool) -> None:
    """Put dead letters back into the queues they came from; the others stay.

    The original body and properties are published, without the headers that say why the message
    was refused. A message that was loaded before counts as a duplicate, so a second replay changes
    nothing.

    \b
    Example:
      statesys dead replay --reason database
      statesys dead replay 0b6e7c1e-5a51-4b8e-8f0e-3a8f2f8f5d11
    """
    if bool(ids) + everything + (reason is not None and not ids) != 1:
        raise click.UsageError("say which letters: --all, --reason REASON, or ids")
    chosen = Choice(names=frozenset(ids), reason=reason)
    with _box() as box:
        moved = box.replay(chosen)
    _report(moved, "replayed", as_json=as_json)
    moved.check_replayed(chosen)


@dead.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def purge(*, ids: tuple[str, ...], reason: str | None, yes: bool, as_json: bool) -> None:
    """Delete dead letters for good: all, or those of a reason, or those named.

    Deleted messages stay missing until their client answers a resync.

    \b
    Example:
      statesys dead purge --reason not_well_formed
      statesys dead purge --yes
    """
    chosen = Choice(names=frozenset(ids), reason=reason)
    with _box() as box:
        seen = box.chosen(chosen)
    if seen and not yes:
        question = f"Delete {counted(len(seen), 'dead letter')} for good?"
        click.confirm(question, abort=True, err=True)
    moved = Moved()
    if seen:
        with _box() as box:
            moved = box.purge_seen(chosen, {letter.name for letter in seen})
    _report(moved, "deleted", as_json=as_json)


@contextmanager
def _box() -> Iterator[Box]:
    with Administration(settings_without_logs().required_amqp_url(), name="statesys dead") as admin:
        yield Box(admin)


def _report(moved: Moved, word: str, *, as_json: bool) -> None:
    if as_json:
        print_json({word: len(moved.done), "stuck": len(moved.stuck)})
    else:
        click.echo(moved.words(word))
