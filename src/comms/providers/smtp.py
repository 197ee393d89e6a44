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
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Annotated, Literal, cast

import aiosmtplib
from msgspec import Meta, Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, TryLater

_SECONDS = 8.0  # less than the pipeline waits for a provider: only here is it known whether the dot was sent
_GOODBYE_SECONDS = 1.0
_MAILS_A_CONNECTION = 100
_CONNECTIONS = 8
_GREYLISTED_SECONDS = 300.0  # sooner is refused again (RFC 6647, section 2.2)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")

# What an answer means, by its enhanced code (RFC 3463) first and its three digits second.
_BAD_RECIPIENT = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
_OUR_SETUP = {
    "5.7.0",
    "5.7.8",
    "5.7.9",
    "5.7.26",
    "5.7.27",
}  # it wants a login, or our domain's records are wrong
_OUR_SETUP_DIGITS = {530, 534, 535, 538}
_RECIPIENT_DIGITS = {550, 551, 553}


class SmtpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`tls`: none, starttls (port 587, usually) or tls at once (465). `ca`: PEM of a private authority."""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,253}(?!\n)$")]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: Annotated[str, Meta(min_length=1, max_length=320)] | None = None
    ca: str | None = None

    def __post_init__(self) -> None:
        """Read the authority now: where it is stored a person can still be told."""
        try:
            _context(self)
        except (ssl.SSLError, ValueError):
            raise ValueError("`ca` must be certificates in PEM form") from None


class Smtp:
    """One account at one server. Certificates are verified, always."""

    idempotent = False

    def __init__(
        self,
        settings: SmtpSettings,
        password: str | None,
        now: Callable[[], datetime],
        seconds: float = _SECONDS,
    ) -> None:
        self._settings = settings
        self._password = password
        self._now = now
        self._seconds = seconds
        self._tls = _context(settings)
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the mail over on a connection that is kept; eight seconds at most, once it has one."""
        if not outgoing.sender.address:
            return Misconfigured("no_sender")
        if outgoing.hipaa and self._settings.tls == "none":
            return Misconfigured("tls_required")
        mail = compose(outgoing, self._now())
        async with self._free:
            connection = self._idle.pop() if self._idle else self._new()
            try:
                outcome = await connection.send(outgoing.sender.address, outgoing.recipient, mail)
            except BaseException:
                connection.close()  # cancelled half-way through a mail: nobody may go on with it
                raise
            if connection.is_good:
                self._idle.append(connection)
            else:
                await connection.quit()
            return outcome

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(connection.quit() for connection in self._idle))
        self._idle.clear()

    def _new(self) -> _Connection:
        return _Connection(self._settings, self._password, self._tls, self._seconds)


class _Connection:
    """One connection: opened at its first mail, good until something odd is said on it."""

    def __init__(
        self, settings: SmtpSettings, password: str | None, tls: ssl.SSLContext | None, seconds: float
    ) -> None:
        self._settings = settings
        self._password = password
        self._seconds = seconds
        self._mails = 0
        self._dotted = False
        self._client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls == "tls",
            start_tls=False,  # done by hand, to tell a server without it from one that is down
            tls_context=tls,
            timeout=seconds,
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
        transport = cast("asyncio.WriteTransport | None", self._client.transport)
        self._client.close()
        if transport:
            transport.abort()  # TLS would wait half a minute for the other side's goodbye

    async def send(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        self._dotted = False
        try:
            async with asyncio.timeout(self._seconds):
                return await self._transact(sender, recipient, mail)
        except aiosmtplib.SMTPResponseException as refusal:
            return self._refused(refusal)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self.close()
            return self._broken(error)

    async def _transact(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        wrong = await self._be_ready()
        if wrong:
            self.close()
            return Misconfigured(wrong)
        self._mails += 1
        options, encoding = [], "ascii"
        if not (sender + recipient).isascii():  # RFC 6531
            if not self._client.supports_extension("smtputf8"):
                return Rejected("smtputf8_not_supported")
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        await self._client.mail(sender, options=options, encoding=encoding)
        await self._client.rcpt(recipient, encoding=encoding)
        self._dotted = True  # the client sends DATA and the mail in one go: a hang-up between them counts too
        _, said = await self._client.data(mail)
        return Accepted(said.strip()[:200] or None)

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
        await self._client.ehlo()
        if self._settings.tls == "starttls":
            if not self._client.supports_extension("starttls"):
                return "starttls_not_offered"
            await self._client.starttls()
            await self._client.ehlo()
        return await self._log_in()

    async def _log_in(self) -> str | None:
        if self._settings.username is None:
            return None
        if not self._client.supports_extension("auth"):
            return "login_not_offered"
        try:
            await self._client.login(self._settings.username, self._password or "")
        except aiosmtplib.SMTPResponseException as refusal:
            if 400 <= refusal.code < 500:
                raise
            return "login_refused"
        return None

    def _refused(self, refusal: aiosmtplib.SMTPResponseException) -> Outcome:
        if refusal.code == 421:  # it hangs up (RFC 5321, section 3.8)
            self.close()
        at_recipient = isinstance(refusal, aiosmtplib.SMTPRecipientRefused)
        return classify(refusal.code, refusal.message, at_recipient=at_recipient)

    def _broken(self, error: Exception) -> Outcome:
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return Misconfigured("certificate_refused")
        return Lost("no_answer_after_data") if self._dotted else TryLater("connection")


def classify(code: int, text: str, *, at_recipient: bool) -> Outcome:
    """What a refusal means."""
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else None
    if code in _OUR_SETUP_DIGITS or enhanced in _OUR_SETUP:
        return Misconfigured(f"smtp_{code}")
    if 400 <= code < 500:
        return TryLater(f"smtp_{code}", after=_GREYLISTED_SECONDS if enhanced == "4.7.1" else None)
    no_such = enhanced in _BAD_RECIPIENT or (not enhanced and at_recipient and code in _RECIPIENT_DIGITS)
    return Rejected(f"smtp_{enhanced or code}", bad_recipient=no_such)


def compose(outgoing: Outgoing, now: datetime) -> bytes:
    """The mail: plain text and HTML, headers that nothing can be injected into."""
    sender = outgoing.sender
    is_plain = (outgoing.recipient + (sender.address or "")).isascii()
    # Bodies in seven bits: not every relay takes eight, and whoever re-encodes on the way breaks DKIM.
    mail = EmailMessage(policy=(SMTP if is_plain else SMTPUTF8).clone(cte_type="7bit"))
    mail["From"] = _mailbox(sender.address or "", sender.name or "")
    mail["To"] = _mailbox(outgoing.recipient)
    mail["Subject"] = _one_line(outgoing.content.subject or "")
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{outgoing.key}@{(sender.address or '').rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
    if sender.reply_to:
        mail["Reply-To"] = _mailbox(sender.reply_to)
    mail.set_content(outgoing.content.text or "")
    mail.add_alternative(outgoing.content.body, subtype="html")
    return mail.as_bytes()


def _mailbox(address: str, name: str = "") -> Address:
    local, _, domain = _one_line(address).rpartition("@")
    return Address(_one_line(name), username=local, domain=domain)


def _one_line(text: str) -> str:
    return _UNSAFE.sub(" ", text)


def _context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.tls == "none":
        return None
    context = ssl.create_default_context(cadata=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
