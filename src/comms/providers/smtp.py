"""E-mail over SMTP (RFC 5321), with connections that are kept.

SMTP has no idempotency key: where the answer to the final dot is lost, nobody can say whether
the mail was taken (RFC 1047). The Message-ID is the same for every attempt, so that receivers
who look at it see one mail.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

import aiosmtplib
from msgspec import Struct

from comms.providers.base import Accepted, Lost, Misconfigured, Outcome, Outgoing, Rejected, Sender, TryLater

_SECONDS = 10.0
_MAILS_A_CONNECTION = 100
_CONNECTIONS = 8
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})")

# What an answer means, by its enhanced code (RFC 3463) first and its three digits second.
_BAD_RECIPIENT = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
_OUR_SETUP = {
    "5.7.0",
    "5.7.8",
    "5.7.9",
    "5.7.26",
    "5.7.27",
}  # wants a login, or our own domain's records are wrong
_OUR_SETUP_DIGITS = {530, 534, 535, 538}
_RECIPIENT_DIGITS = {550, 551, 553}


class SmtpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`tls`: none, starttls (port 587, usually) or tls at once (465). `ca`: PEM of a private authority."""

    host: str
    port: int = 587
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    ca: str | None = None


class Smtp:
    """One account at one server. Certificates are verified, always."""

    idempotent = False

    def __init__(self, settings: SmtpSettings, password: str | None, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._password = password
        self._now = now
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Hand the mail over on a connection that is kept; ten seconds at most."""
        if not outgoing.sender.address:
            return Misconfigured("no_sender")
        if outgoing.hipaa and self._settings.tls == "none":
            return Misconfigured("tls_required")
        async with self._free:
            connection = self._idle.pop() if self._idle else _Connection(self._settings, self._password)
            outcome = await connection.send(outgoing, self._now())
            if connection.is_good:
                self._idle.append(connection)
            else:
                connection.close()
            return outcome

    async def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().close()


class _Connection:
    """One connection: opened at its first mail, good until something odd is said on it."""

    def __init__(self, settings: SmtpSettings, password: str | None) -> None:
        self._settings = settings
        self._password = password
        self._mails = 0
        self._client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=_context(settings),
            timeout=_SECONDS,
        )

    @property
    def is_good(self) -> bool:
        return self._client.is_connected and self._mails < _MAILS_A_CONNECTION

    def close(self) -> None:
        self._client.close()

    async def send(self, outgoing: Outgoing, now: datetime) -> Outcome:
        dotted = False
        try:
            async with asyncio.timeout(_SECONDS):
                await self._be_ready()
                await self._client.mail(outgoing.sender.address or "")
                await self._client.rcpt(outgoing.recipient)
                mail = compose(outgoing, now)
                dotted = True
                _, said = await self._client.data(mail)
                return Accepted(said.strip()[:200] or None)
        except aiosmtplib.SMTPAuthenticationError:
            self.close()
            return Misconfigured("login_refused")
        except aiosmtplib.SMTPResponseException as refusal:
            return await self._refused(refusal)
        except ssl.SSLError:
            self.close()
            return Misconfigured("certificate_refused")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self.close()
            return self._broken(error, dotted=dotted)

    async def _be_ready(self) -> None:
        if self._client.is_connected:
            try:
                await self._client.rset()
            except (aiosmtplib.SMTPException, OSError):
                self.close()
        if not self._client.is_connected:
            self._mails = 0
            await self._client.connect()
            if self._settings.username is not None:
                await self._client.login(self._settings.username, self._password or "")
        self._mails += 1

    async def _refused(self, refusal: aiosmtplib.SMTPResponseException) -> Outcome:
        if refusal.code == 421:  # it hangs up (RFC 5321, section 3.8)
            self.close()
        at_recipient = isinstance(refusal, aiosmtplib.SMTPRecipientRefused)
        return classify(refusal.code, refusal.message, at_recipient=at_recipient)

    @staticmethod
    def _broken(error: Exception, *, dotted: bool) -> Outcome:
        if isinstance(error.__cause__, ssl.SSLError):
            return Misconfigured("certificate_refused")
        return Lost("no_answer_after_data") if dotted else TryLater("connection")


def classify(code: int, text: str, *, at_recipient: bool) -> Outcome:
    """What a refusal means."""
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else None
    if code in _OUR_SETUP_DIGITS or enhanced in _OUR_SETUP:
        return Misconfigured(f"smtp_{code}")
    if 400 <= code < 500:
        return TryLater(f"smtp_{code}")
    no_such = enhanced in _BAD_RECIPIENT or (not enhanced and at_recipient and code in _RECIPIENT_DIGITS)
    return Rejected(f"smtp_{enhanced or code}", bad_recipient=no_such)


def compose(outgoing: Outgoing, now: datetime) -> bytes:
    """The mail: plain text and HTML, headers that nothing can be injected into."""
    mail = EmailMessage(policy=SMTP)
    sender = outgoing.sender
    mail["From"] = _from(sender)
    mail["To"] = outgoing.recipient
    mail["Subject"] = _one_line(outgoing.content.subject or "")
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{outgoing.key}@{(sender.address or '').rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
    if sender.reply_to:
        mail["Reply-To"] = _one_line(sender.reply_to)
    mail.set_content(outgoing.content.text or "")
    mail.add_alternative(outgoing.content.body, subtype="html")
    return mail.as_bytes()


def _from(sender: Sender) -> Address:
    return Address(_one_line(sender.name or ""), addr_spec=sender.address or "")


def _one_line(text: str) -> str:
    return _UNSAFE.sub(" ", text)


def _context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.tls == "none":
        return None
    context = ssl.create_default_context(cadata=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
