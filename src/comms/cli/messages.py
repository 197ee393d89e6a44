"""`comms message`: the API from a terminal, on the database itself.

What is private is read from a file or from standard input, never from the command line: every
user of a machine can read the arguments of its processes.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click
import msgspec

from comms.cli.shared import data_dir_option, in_force
from comms.domain.lifecycle import Status

if TYPE_CHECKING:
    from comms.actions.house import House
    from comms.domain.caller import Caller

Result = TypeVar("Result")

json_option = click.option("--json", "as_json", is_flag=True, help="for scripts: the API's own answer")


@click.group()
def message() -> None:
    """Schedule, send, list, show, cancel, recall, settle, explain and simulate messages."""


@message.command()
@click.argument("body", type=click.File("rb"), default="-")
@json_option
@data_dir_option
def schedule(body: IO[bytes], as_json: bool, data_dir: Path | None) -> None:
    """Schedule the message that BODY describes, as the API's body does.

    \b
      comms message schedule reminder.json
      echo '{"channel": "sms", "template_key": "appointment-reminder", "recipient": "+15555550123",
             "brand_id": "demo", "person_id": "ada", "variables": {"name": "Ada", "time": "9:30"},
             "dedup_key": "appointment-4711", "scheduled_at": "2027-03-01T09:00:00-05:00"}' \\
        | comms message schedule
    """
    from comms.actions import acceptance
    from comms.http import parsing
    from comms.http.messages import asked
    from comms.http.shapes.messages import Schedule

    wanted = parsing.decode(body.read(), Schedule)

    async def work(house: House, caller: Caller) -> dict[str, Any]:
        accepted = await acceptance.schedule(house, caller, asked(wanted, wanted.scheduled_at))
        return accepted.message

    _show(_act(data_dir, work), as_json=as_json)


@message.command()
@click.argument("body", type=click.File("rb"), default="-")
@click.option("--wait", type=click.FloatRange(0, 30), help="seconds to wait for the outcome; 10 unless said")
@json_option
@data_dir_option
def send(body: IO[bytes], wait: float | None, as_json: bool, data_dir: Path | None) -> None:
    """Send the message that BODY describes now, and wait for what becomes of it.

    A worker hands it over: one must run, as it does with comms serve. Exit status 1 where it has failed.

    \b
      comms message send --wait 30 code.json
    """
    from comms.actions import acceptance
    from comms.http import parsing
    from comms.http.messages import PATIENCE, asked, outcome
    from comms.http.shapes.messages import Send

    wanted, patience = parsing.decode(body.read(), Send), PATIENCE if wait is None else wait

    async def work(house: House, caller: Caller) -> dict[str, Any]:
        accepted = await acceptance.schedule(house, caller, asked(wanted, None))
        return await outcome(house, caller, UUID(accepted.message["id"]), patience)

    sent = _act(data_dir, work)
    _show(sent, as_json=as_json)
    sys.exit(sent["status"] in {"failed", "suppressed", "expired"})


@message.command(name="list")
@click.option("--brand", required=True, help="whose messages")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="where it stands")
@click.option("--channel", help="email, sms, push or in_app")
@click.option("--template", help="the template's key")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option(
    "--where",
    type=click.File("rb"),
    help="a JSON object with person_id, recipient, dedup_key, subject, from or to; - for standard input",
)
@json_option
@data_dir_option
def list_messages(
    brand: str,
    status: str | None,
    channel: str | None,
    template: str | None,
    limit: int,
    where: IO[bytes] | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """The brand's newest messages.

    \b
      comms message list --brand demo --status unknown
      echo '{"recipient": "ada@example.org"}' | comms message list --brand demo --where - --json
    """
    from comms.http import parsing
    from comms.http.messages import found
    from comms.http.shapes.messages import Search

    named = {"brand_id": brand, "status": status, "channel": channel, "template_key": template}
    given = {name: value for name, value in named.items() if value is not None} | {"limit": limit}
    private = parsing.parse(where.read()) if where else {}
    wanted = parsing.convert({**private, **given} if isinstance(private, dict) else private, Search)

    async def work(house: House, caller: Caller) -> dict[str, Any]:
        return await found(house, caller, wanted, wanted.recipient, wanted.subject)

    answer = _act(data_dir, work)
    if as_json:
        _show(answer, as_json=True)
        return
    for each in answer["data"]:
        line = (each[name] for name in ("id", "scheduled_at", "status", "channel", "template_key"))
        click.echo("  ".join(line))


@message.command()
@click.argument("message_id", type=click.UUID)
@json_option
@data_dir_option
def get(message_id: UUID, as_json: bool, data_dir: Path | None) -> None:
    """One message as it stands, and what happened to it.

    \b
      comms message get 019a20a3-1cbe-7914-bfa9-4f22b6fa28e7
    """
    from comms.actions import messages

    async def work(house: House, caller: Caller) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        shown = await messages.get_scheduled(house, caller, message_id)
        return shown, await messages.timeline(house, caller, message_id)

    shown, story = _act(data_dir, work)
    _show(shown, as_json=as_json)
    for entry in [] if as_json else story:
        details = "  ".join(f"{name}={value}" for name, value in entry.get("details", {}).items())
        click.echo(f"  {entry['at']}  {entry['event']:<11}  {details}".rstrip())


@message.command()
@click.argument("message_id", type=click.UUID)
@json_option
@data_dir_option
def cancel(message_id: UUID, as_json: bool, data_dir: Path | None) -> None:
    """Cancel a message: no provider has taken it, and none will.

    \b
      comms message cancel 019a20a3-1cbe-7914-bfa9-4f22b6fa28e7
    """
    from comms.actions import messages

    _show(_act(data_dir, lambda house, caller: messages.cancel(house, caller, message_id)), as_json=as_json)


@message.command()
@click.argument("message_id", type=click.UUID)
@json_option
@data_dir_option
def recall(message_id: UUID, as_json: bool, data_dir: Path | None) -> None:
    """Take back what a message that was sent says behind its link.

    \b
      comms message recall 019a20a3-1cbe-7914-bfa9-4f22b6fa28e7
    """
    from comms.actions import secure_pages

    work = lambda house, caller: secure_pages.recall(house, caller, message_id)  # noqa: E731
    _show(_act(data_dir, work), as_json=as_json)


@message.command()
@click.argument("message_id", type=click.UUID)
@click.argument("outcome", type=click.Choice(["sent", "failed", "retry"]))
@json_option
@data_dir_option
def settle(message_id: UUID, outcome: str, as_json: bool, data_dir: Path | None) -> None:
    """Say how a message ended whose provider's answer was lost, or try it again.

    Look into the provider's own log first: `retry` sends it once more.

    \b
      comms message settle 019a20a3-1cbe-7914-bfa9-4f22b6fa28e7 sent
    """
    from comms.actions import messages

    work = lambda house, caller: messages.settle(house, caller, message_id, outcome)  # noqa: E731
    _show(_act(data_dir, work), as_json=as_json)


@message.command()
@click.argument("message_id", type=click.UUID, required=False)
@click.option("--verify", is_flag=True, help="judge every stored decision again by its own facts")
@json_option
@data_dir_option
def explain(message_id: UUID | None, verify: bool, as_json: bool, data_dir: Path | None) -> None:
    """Why it was sent, or not: the last decision, what it rested on, and what would have had to be otherwise.

    With --verify no message is named: exit status 1 where a stored verdict does not follow from its facts.

    \b
      comms message explain 019a20a3-1cbe-7914-bfa9-4f22b6fa28e7
      comms message explain --verify
    """
    from comms.actions import explanation, messages

    if verify == (message_id is not None):
        raise click.UsageError("Name a message, or --verify all of them.")
    if message_id is None:
        found = _act(data_dir, lambda house, _caller: explanation.verify(house))
        _show_verified(found.matching, [str(each) for each in found.differing], as_json=as_json)
        return
    told = _act(data_dir, lambda house, caller: messages.explain(house, caller, message_id))
    if as_json:
        _show(told, as_json=True)
        return
    click.echo(f"{told['verdict']}: {told['reason']} (rule {told['rule']}, decided at {told['decided_at']})")
    for sentence in told["details"]["because"]:
        click.echo(f"  - {sentence}")
    if told["details"]["otherwise"]:
        click.echo("It would have been sent if")
    for condition in told["details"]["otherwise"]:
        click.echo(f"  - {condition}")


@message.command()
@click.argument("body", type=click.File("rb"), default="-")
@json_option
@data_dir_option
def simulate(body: IO[bytes], as_json: bool, data_dir: Path | None) -> None:
    """What would be sent, when, and why not the rest, without sending; BODY is as the API's.

    \b
      echo '{"brand_id": "demo", "person_id": "ada", "until": "2027-03-01T00:00:00Z"}' \\
        | comms message simulate
    """
    from comms.actions import simulations
    from comms.http import parsing
    from comms.http.shapes.simulations import Simulate

    wanted = parsing.decode(body.read(), Simulate)
    asked = (wanted.brand_id, wanted.person_id or None, wanted.until)
    told = _act(data_dir, lambda house, caller: simulations.simulate(house, caller, *asked))
    if as_json:
        _show(told, as_json=True)
        return
    for each in told["data"]:
        click.echo(
            "  ".join((each["message_id"], each["at"], each["verdict"], each.get("reason", ""))).rstrip()
        )
    click.echo(f"That is all up to {told['details']['until']}.")


def _show_verified(matching: int, differing: list[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"matching": matching, "differing": differing}).decode())
    else:
        click.echo(f"{matching} verdicts match")
        for each in differing:
            click.echo(f"{each} differs: its facts give another verdict", err=True)
    sys.exit(bool(differing))


def _act(data_dir: Path | None, work: Callable[[House, Caller], Awaitable[Result]]) -> Result:
    from comms.cli.local import OPERATOR, act

    return act(in_force(data_dir=data_dir), lambda house: work(house, OPERATOR))


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    """As one line of JSON, or as a line a member."""
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    width = max(map(len, answer))
    for name, value in answer.items():
        said = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        click.echo(f"{name:<{width}}  {said}")
