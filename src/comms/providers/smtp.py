"""E-mail over SMTP (RFC 5321), with connections that are kept.

SMTP has no idempotency key: where the answer to the final dot is lost, nobody can say whether
the mail was taken (RFC 1047). The Message-ID is the same for every attempt, so that receivers
who look at it see one mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from datetime import datetime
from email.errors import MessageError
from enum import StrEnum
from typing import Annotated, Literal, cast

import aiosmtplib
from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater
from comms.providers.bounces import NO_SUCH_MAILBOX, parse_events
from comms.providers.kind import Kind
from comms.providers.smtp_mail import Mail, compose
from comms.providers.tls import tls_context

_GOODBYE_SECONDS = 1.0
_MAILS_A_CONNECTION = 100
_CONNECTIONS = 8
_GREYLISTED_SECONDS = 300.0  # sooner is refused again (RFC 6647, section 2.2)
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUED = re.compile(r"\b(?:queued as|queue id|id=)\s*([0-9A-Za-z-]{4,64})\b", re.IGNORECASE)

# What an answer means: by the place in the conversation, its enhanced code (RFC 3463), its digits.
_OUR_SETUP = {
    "5.7.0": "it wants a login",
    "5.7.8": "the login is wrong",
    "5.7.9": "this way to log in is too weak",
    "5.7.26": "our domain's SPF, DKIM or DMARC records do not vouch for it (RFC 7372)",
    "5.7.27": "our domain says that it takes no mail (RFC 7505)",
}
_OUR_SETUP_DIGITS = {530, 534, 535, 538}
_NO_SUCH_MAILBOX_DIGITS = {550, 551, 553}


_NOTIFY = {"no": None, "problems": "FAILURE,DELAY", "all": "SUCCESS,FAILURE,DELAY"}


class Stage(StrEnum):
    """How far the conversation has come."""

    HELLO = "hello"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


class SmtpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`tls`: none, starttls (port 587, usually) or tls at once (465). `ca`: PEM of a private authority.

    `dsn`: what the server is asked to report (RFC 3461): nothing, what goes wrong, or what arrives, too.
    `return_path`: the address that reports go to; unless it is set, the brand's own.
    """

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,253}(?!\n)$")]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: Annotated[str, Meta(min_length=1, max_length=320)] | None = None
    ca: str | None = None
    dsn: Literal["no", "problems", "all"] = "no"
    return_path: Annotated[str, Meta(pattern=r"^[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,253}(?!\n)$")] | None = None

    def __post_init__(self) -> None:
        """Read the authority now: where it is stored a person can still be told."""
        try:
            tls_context(self.ca)
        except (ssl.SSLError, ValueError):
            raise ValueError("`ca` must be certificates in PEM form") from None


class Smtp:
    """One account at one server. Certificates are verified, always."""

    def __init__(self, settings: SmtpSettings, password: str | None, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._password = password
        self._now = now
        self._tls = None if settings.tls == "none" else tls_context(settings.ca)
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._is_closed = False

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the mail over on a connection that is kept."""
        if not outgoing.sender.address:
            return Misconfigured("no_sender")
        if outgoing.hipaa and self._settings.tls == "none":
            return Misconfigured("tls_required")
        try:
            mail = compose(outgoing, self._now(), self._settings.return_path)
        except (ValueError, MessageError):
            return Rejected("not_composable")
        until = asyncio.get_running_loop().time() + outgoing.seconds
        try:
            async with asyncio.timeout_at(until):
                await self._free.acquire()
        except TimeoutError:
            return TryLater("no_free_connection")
        try:
            return await self._send(mail, until)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Hang up; a connection in use hangs up when it is done."""
        self._is_closed = True
        await asyncio.gather(*(connection.quit() for connection in self._idle))
        self._idle.clear()

    async def _send(self, mail: Mail, until: float) -> Outcome:
        connection = self._idle.pop() if self._idle else self._new()
        try:
            outcome = await connection.send(mail, until)
        except BaseException:
            connection.close()  # cancelled half-way through a mail: nobody may go on with it
            raise
        if connection.is_good and not self._is_closed:
            self._idle.append(connection)
        else:
            await connection.quit()
        return outcome

    def _new(self) -> _Connection:
        return _Connection(self._settings, self._password, self._tls)


class _Connection:
    """One connection: opened at its first mail, good until something odd is said on it."""

    def __init__(self, settings: SmtpSettings, password: str | None, tls: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._password = password
        self._mails = 0
        self._stage = Stage.HELLO
        self._transport: asyncio.WriteTransport | None = None
        """Ours to abort: the client forgets it as soon as it believes it closed."""
        self._client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls == "tls",
            start_tls=False,  # done by hand, to tell a server without it from one that is down
            tls_context=tls,
            timeout=None,  # the whole conversation has one limit
        )

    @property
    def is_good(self) -> bool:
        return self._client.is_connected and self._mails < _MAILS_A_CONNECTION

    async def quit(self) -> None:
        """Say goodbye where there is still somebody to say it to (RFC 5321, section 4.1.1.10)."""
        if self._client.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._client.quit(timeout=_GOODBYE_SECONDS)
        self.close()

    def close(self) -> None:
        self._client.close()
        if self._transport:
            self._transport.abort()  # TLS would wait half a minute for the other side's goodbye
            self._transport = None

    async def send(self, mail: Mail, until: float) -> Outcome:
        self._stage = Stage.HELLO
        try:
            async with asyncio.timeout_at(until):
                return await self._transact(mail)
        except aiosmtplib.SMTPResponseException as refusal:
            if refusal.code == 421:  # it hangs up (RFC 5321, section 3.8)
                self.close()
            return classify(self._stage, refusal.code, refusal.message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self.close()
            return self._broken(error)

    async def _transact(self, mail: Mail) -> Outcome:
        wrong = await self._be_ready()
        if wrong:
            self.close()
            return Misconfigured(wrong)
        self._mails += 1
        options, encoding = [], "ascii"
        if mail.needs_utf8:  # RFC 6531
            if not self._client.supports_extension("smtputf8"):
                return Rejected("smtputf8_not_supported")
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        notify = self._notify()
        if notify:
            options += ["RET=HDRS", f"ENVID={mail.key}"]
        self._stage = Stage.MAIL
        await self._client.mail(mail.sender, options=options, encoding=encoding)
        self._stage = Stage.RCPT
        await self._client.rcpt(mail.recipient, options=notify, encoding=encoding)
        self._stage = (
            Stage.DATA
        )  # the client sends DATA and the mail in one go: a hang-up between them counts
        _, said = await self._client.data(mail.content)
        queued = _QUEUED.search(said)  # of the server's prose nothing is kept: it may name the recipient
        return Accepted(queued[1] if queued else None)

    def _notify(self) -> list[str]:
        """What is asked for, of a server that offers it (RFC 3461, sections 4.1 and 4.3)."""
        wanted = _NOTIFY[self._settings.dsn]
        return [f"NOTIFY={wanted}"] if wanted and self._client.supports_extension("dsn") else []

    async def _be_ready(self) -> str | None:
        """Connected, encrypted as it was told to be, logged in; else what is wrong with the set-up."""
        if self._client.is_connected:
            try:
                await self._client.rset()
                return None
            except (aiosmtplib.SMTPException, OSError):
                self.close()  # it had enough of us while we were idle
        self._mails = 0
        await self._client.connect()
        self._keep_transport()
        await self._client.ehlo()
        if self._settings.tls == "starttls":
            if not self._client.supports_extension("starttls"):
                return "starttls_not_offered"
            await self._client.starttls()
            self._keep_transport()
            await self._client.ehlo()
        return await self._log_in()

    def _keep_transport(self) -> None:
        self._transport = cast("asyncio.WriteTransport | None", self._client.transport)

    async def _log_in(self) -> str | None:
        if self._settings.username is None:
            return None
        if not self._client.supported_auth_methods:
            return "login_not_offered"
        try:
            await self._client.login(self._settings.username, self._password or "")
        except aiosmtplib.SMTPResponseException as refusal:
            if 400 <= refusal.code < 500:
                raise
            return "login_refused"
        return None

    def _broken(self, error: Exception) -> Outcome:
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return Misconfigured("certificate_refused")
        return Lost("no_answer_after_data") if self._stage is Stage.DATA else TryLater("connection")


def classify(stage: Stage, code: int, text: str) -> Outcome:
    """What a refusal means. Before RCPT nothing was said of this recipient: such a refusal is about us."""
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else ""
    reason = f"smtp_{enhanced or code}"
    if code in _OUR_SETUP_DIGITS or enhanced in _OUR_SETUP:
        return Misconfigured(reason)
    if 400 <= code < 500:
        after = _GREYLISTED_SECONDS if enhanced == "4.7.1" else None
        return TryLater(reason, after, of_message=stage is Stage.RCPT and code != 421)
    if stage in {Stage.HELLO, Stage.MAIL}:
        return Misconfigured(reason)
    at_recipient = stage is Stage.RCPT and not enhanced and code in _NO_SUCH_MAILBOX_DIGITS
    return Rejected(reason, bad_recipient=at_recipient or enhanced in NO_SUCH_MAILBOX)


KIND = Kind(
    channels=frozenset(["email"]),
    settings=SmtpSettings,
    secrets=frozenset(["password", "webhook_secret"]),
    idempotent=False,
    build=lambda settings, secrets, tools: Smtp(settings, secrets.get("password"), tools.now),
    needs_sender=True,
    may_carry_phi=lambda settings: settings.get("tls") != "none",
    lacks=lambda settings, held: "password" if settings.get("username") and "password" not in held else None,
    parse_events=parse_events,
)
