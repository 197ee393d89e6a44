"""Texts over SMPP 3.4, to an aggregator's or a carrier's message centre. A lost answer is a doubt.

Bound for both directions, on one line that is kept, and dialled again whenever it ends. Issue 1.2 of the
specification: https://smpp.org/SMPP_v3_4_Issue1_2.pdf.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import count
from typing import Annotated, Literal

import structlog
from msgspec import Meta, Struct

from comms.domain.segments import segments
from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.events import Event, Happening
from comms.providers.kind import Kind
from comms.providers.smpp_keeper import Keeper
from comms.providers.smpp_line import Ended, Line, dial
from comms.providers.smpp_pdu import Address, Delivered, Unit, address, bind, message_id, submissions
from comms.providers.smpp_receipts import ReceiptIds, happening, reference
from comms.providers.tls import tls_context
from comms.providers.vendor import SmsFrom

log = structlog.get_logger()

_DIAL_SECONDS = 10.0
_QUIET_SECONDS = 1.0
_MOST_SEGMENTS = 255
_THROTTLED = 0x58

# What a status means (section 5.1.3). Others, and a centre's own, refuse the text for good.
_BAD_RECIPIENT = {0x0B: "no such number"}
_LATER = {
    0x08: "the centre has a fault",
    0x14: "its queue is full",
    _THROTTLED: "more a second than the account may send",
    0x64: "not now, says an application behind it",
}
_OUR_SETUP = {
    0x04: "not bound for this",
    0x05: "bound already: by another of our workers, or a line that broke is still held there",
    0x0A: "the source is not the account's",
    0x0D: "it does not let us bind",
    0x0E: "the password is wrong",
    0x0F: "no such system_id",
    0x15: "it wants a service type",
    0x48: "it wants the source of another type",
    0x49: "it wants the source in another numbering plan",
    0x50: "it takes no international numbers: nothing that is wrong with the person's",
    0x51: "the same, of the numbering plan",
    0x53: "the system_type is wrong",
    0x62: "it takes no relative validity period",
}


class SmppSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`tls`: none or tls at once. `ca`: PEM of a private authority. `window`: texts without an answer yet.

    `source_ton`, `source_npi`: where the centre wants others than those that the source's form says.
    """

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,253}(?!\n)$")]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    system_id: Annotated[str, Meta(pattern=r"^[!-~]{1,15}(?!\n)$")]
    source: SmsFrom
    tls: Literal["none", "tls"] = "none"
    ca: str | None = None
    system_type: Annotated[str, Meta(pattern=r"^[!-~]{0,12}(?!\n)$")] = ""
    source_ton: Annotated[int, Meta(ge=0, le=6)] | None = None
    source_npi: Annotated[int, Meta(ge=0, le=18)] | None = None
    window: Annotated[int, Meta(ge=1, le=100)] = 10
    receipt_ids: ReceiptIds = "as_given"

    def __post_init__(self) -> None:
        """Read the authority now: where it is stored a person can still be told."""
        try:
            tls_context(self.ca)
        except (ssl.SSLError, ValueError):
            raise ValueError("`ca` must be certificates in PEM form") from None


class Smpp:
    """One account at one message centre."""

    def __init__(
        self,
        settings: SmppSettings,
        password: str,
        hear: Callable[[str, list[Happening]], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._password = password
        self._hear = hear
        self._sleep = sleep
        self._now = now
        self._tls = None if settings.tls == "none" else tls_context(settings.ca)
        self._source = _source(settings)
        self._references = count()
        self._provider_id = ""
        self._keeper = Keeper(self._dial)
        self._quiet_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    def listen(self, provider_id: str) -> None:
        """Bind, and stay bound: what the centre says is heard under this name."""
        self._provider_id = provider_id
        self._keeper.start()

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the text over, segment by segment. What is refused is refused with the first."""
        if outgoing.hipaa and self._tls is None:
            return Misconfigured("tls_required")
        if segments(outgoing.content.body).count > _MOST_SEGMENTS:
            return Rejected("too_large")
        first, *others = self._bodies(outgoing)
        self.listen(outgoing.provider_id)
        until = asyncio.get_running_loop().time() + outgoing.seconds
        line = await self._keeper.line(until)
        if not isinstance(line, Line):
            return line
        if asyncio.get_running_loop().time() < self._quiet_until:
            return TryLater(_code(_THROTTLED), after=_QUIET_SECONDS)
        outcome = await self._submit(line, first, until, None if others else outgoing)
        for body in others if isinstance(outcome, Accepted) else ():
            outcome = await self._go_on(line, body, until)
            if not isinstance(outcome, Accepted):
                return Lost("smpp_partly_taken")  # a second call would be half a double
        return outcome

    async def close(self) -> None:
        """Unbind, once what was said has its answers."""
        await self._keeper.close()
        await asyncio.gather(*self._telling)

    async def _dial(self) -> Line | TryLater | Misconfigured:
        settings = self._settings
        if not (self._password.isascii() and self._password.isprintable()):
            return self._refused(Misconfigured("password_malformed"))
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                line = await dial(settings.host, settings.port, self._tls, settings.window, self._heard)
                status = await line.bind(bind(settings.system_id, self._password, settings.system_type))
        except ssl.SSLError as error:
            is_certificate = isinstance(error, ssl.SSLCertVerificationError)
            return self._refused(Misconfigured("certificate_refused" if is_certificate else "tls_refused"))
        except ValueError:  # of a host that can be no name
            return self._refused(Misconfigured("address_refused"))
        except OSError:  # TimeoutError is one
            return TryLater("connection")
        if status is None:
            return TryLater("connection")
        return self._refused(_of_bind(status)) if status else line

    def _refused(self, why: TryLater | Misconfigured) -> TryLater | Misconfigured:
        """Told where nobody sends, too: people's answers don't reach us meanwhile."""
        log.error("not_bound", provider_id=self._provider_id, reason=why.reason)
        return why

    def _bodies(self, outgoing: Outgoing) -> list[bytes]:
        to, text = address(outgoing.recipient), outgoing.content.body
        return submissions(self._source, to, text, outgoing.lifetime, next(self._references) % 256)

    async def _submit(self, line: Line, body: bytes, until: float, whole: Outgoing | None = None) -> Outcome:
        """One segment, once. `whole`: the text, where this is all of it."""
        try:
            async with asyncio.timeout_at(until):
                answer = await line.submit(body)
        except TimeoutError:
            return TryLater("window_full")
        except Ended:
            return TryLater("connection")
        await asyncio.wait([answer], timeout=until - asyncio.get_running_loop().time())
        if not answer.done() and whole:
            answer.add_done_callback(partial(self._answered_late, whole))
        unit = answer.result() if answer.done() else None
        return self._read(unit) if unit else Lost("no_answer")

    async def _go_on(self, line: Line, body: bytes, until: float) -> Outcome:
        """A further segment. Refused for now it was not taken, and half a text is none: it is said again."""
        while True:
            outcome = await self._submit(line, body, until)
            left = until - asyncio.get_running_loop().time()
            if not isinstance(outcome, TryLater) or line.ended.is_set() or left < _QUIET_SECONDS:
                return outcome
            await self._sleep(_QUIET_SECONDS)

    def _read(self, unit: Unit) -> Outcome:
        if not unit.status:
            return Accepted(reference(message_id(unit.body), self._settings.receipt_ids, of_receipt=False))
        if unit.status == _THROTTLED:  # the whole line is too quick, not this text
            self._quiet_until = asyncio.get_running_loop().time() + _QUIET_SECONDS
        return _meaning(unit.status)

    def _answered_late(self, outgoing: Outgoing, answer: asyncio.Future[Unit | None]) -> None:
        """Nobody waits for it any more, but it ends the doubt, as a receipt would."""
        unit = answer.result()
        outcome = self._read(unit) if unit else None
        if isinstance(outcome, Accepted | Rejected):
            task = asyncio.create_task(self._tell(outgoing, outcome))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, outgoing: Outgoing, outcome: Accepted | Rejected) -> None:
        event = Event(
            id=f"{outgoing.key}/answered",
            event="accepted" if isinstance(outcome, Accepted) else "failed",
            at=self._now(),
            key=outgoing.key,
            reference=outcome.reference if isinstance(outcome, Accepted) else None,
            recipient=outgoing.recipient,
            reason=outcome.reason if isinstance(outcome, Rejected) else None,
        )
        try:
            await self._hear(outgoing.provider_id, [event])
        except Exception as error:  # noqa: BLE001 - the database is away, mostly: the doubt stays
            log.warning("not_heard", problem=type(error).__name__)

    async def _heard(self, heard_as: str, said: Delivered) -> None:
        about = happening(heard_as, said, self._settings.receipt_ids, self._now())
        if about:
            await self._hear(self._provider_id, [about])


def _source(settings: SmppSettings) -> Address:
    found = address(settings.source)
    ton = found.ton if settings.source_ton is None else settings.source_ton
    npi = found.npi if settings.source_npi is None else settings.source_npi
    return Address(ton, npi, found.text)


def _meaning(status: int) -> Rejected | TryLater | Misconfigured:
    if status in _OUR_SETUP:
        return Misconfigured(_code(status))
    if status in _LATER:
        return TryLater(_code(status))
    return Rejected(_code(status), bad_recipient=status in _BAD_RECIPIENT)


def _code(status: int) -> str:
    return f"smpp_{status:#04x}"


def _of_bind(status: int) -> TryLater | Misconfigured:
    """No text was said yet: what is not a matter of time is one of set-up."""
    meaning = _meaning(status)
    return Misconfigured(meaning.reason) if isinstance(meaning, Rejected) else meaning


KIND = Kind(
    channels=frozenset(["sms"]),
    settings=SmppSettings,
    secrets=frozenset(["password"]),
    idempotent=False,
    build=lambda settings, secrets, tools: Smpp(
        settings, secrets.get("password", ""), tools.hear, tools.sleep, tools.now
    ),
    key_lasts=0.0,
    listens=True,
    may_carry_phi=lambda settings: settings.get("tls") == "tls",
)
