"""What Amazon's services have in common: a region, and credentials that sign each call (Signature Version 4).

The credentials are the account's secrets. Where it has none they are the machine's own role, found as all
of Amazon's tools find it: environment, web identity, shared files, container, instance metadata (IMDSv2).
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import structlog
from msgspec import Meta, Struct

from comms.providers.base import Lost, Misconfigured, Outcome, Rejected, TryLater
from comms.providers.events import ParseEvents
from comms.providers.http import Answer, Http, Request
from comms.providers.kind import Kind
from comms.providers.vendor import Compose, Vendor, is_encrypted

if TYPE_CHECKING:  # its import takes a tenth of a second, and not every house has an account at Amazon's
    from botocore import credentials
    from botocore.credentials import ReadOnlyCredentials as Keys

log = structlog.get_logger()

# In detail it would write what it was given: session tokens, and the answers that bring them.
logging.getLogger("botocore").setLevel(logging.WARNING)

Region = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}(?!\n)$")]

TopicArn = Annotated[
    str, Meta(pattern=r"^arn:aws(-[a-z]+)*:sns:[a-z0-9-]{6,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(?!\n)$")
]
"""The topic whose notifications are ours to hear: anybody with an account may sign for a topic of theirs."""

SECRETS = frozenset(["access_key_id", "secret_access_key"])

S = TypeVar("S", bound=Struct)


def domain(region: str) -> str:
    """Where the region's services are (https://docs.aws.amazon.com/general/latest/gr/rande.html)."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


class Aws(Vendor[S]):
    """One account in one region. Its secrets are both given, or neither."""

    def __init__(
        self,
        service: str,
        compose: Compose[S],
        read: Callable[[Answer], Outcome],
        settings: S,
        secrets: Mapping[str, str],
        http: Http,
    ) -> None:
        needed = SECRETS if secrets else frozenset[str]()
        super().__init__(compose, read, settings, needed, secrets, http)
        self._scope = (service, msgspec.to_builtins(settings)["region"])
        self._credentials = Credentials(secrets)

    async def _call(
        self, request: Request, seconds: float
    ) -> Answer | Rejected | TryLater | Misconfigured | Lost:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        keys = await self._credentials.keys(seconds)
        if isinstance(keys, TryLater | Misconfigured):
            return keys
        return await self._http.post(sign(request, keys, *self._scope), until - loop.time())


class Credentials:
    """Those that were given, or the machine's, renewed before they end: by one call, for all that wait."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._found: credentials.Credentials | None = None
        self._finding: asyncio.Task[Keys | TryLater | Misconfigured] | None = None

    async def keys(self, seconds: float) -> Keys | TryLater | Misconfigured:
        """What signs now. A thread looks for it: the chain waits for files and for the network."""
        if self._found and not _may_end(self._found):
            return self._found.get_frozen_credentials()
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(asyncio.to_thread(self._find))
        done, _ = await asyncio.wait([self._finding], timeout=seconds)
        return self._finding.result() if done else TryLater("credentials_slow")

    def _find(self) -> Keys | TryLater | Misconfigured:
        from botocore.exceptions import CredentialRetrievalError, HTTPClientError, MetadataRetrievalError

        try:
            self._found = self._found or _look(self._secrets)
            return (
                self._found.get_frozen_credentials() if self._found else Misconfigured("credentials_missing")
            )
        except (CredentialRetrievalError, HTTPClientError, MetadataRetrievalError) as error:
            log.warning("credentials_wait", problem=type(error).__name__)
            return TryLater("credentials_unavailable")
        except Exception as error:  # noqa: BLE001 - a file that can't be read, a role that may not be assumed: set-up
            log.error("credentials_refused", problem=type(error).__name__)
            return Misconfigured("credentials_refused")


def _look(secrets: Mapping[str, str]) -> credentials.Credentials | None:
    if secrets:
        from botocore.credentials import Credentials as Given

        return Given(secrets["access_key_id"], secrets["secret_access_key"])
    from botocore.session import Session

    return Session().get_credentials()


def _may_end(found: credentials.Credentials) -> bool:
    """Within a quarter of an hour; only a role's credentials do."""
    renewable = getattr(found, "refresh_needed", None)
    return renewable is not None and renewable()


def sign(request: Request, keys: Keys, service: str, region: str) -> Request:
    """The request with the headers that Amazon knows us by. Good for minutes, so made for each call."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    signed = AWSRequest("POST", request.url, dict(request.headers), request.body)
    SigV4Auth(keys, service, region).add_auth(signed)
    return Request(request.url, request.body, dict(signed.headers.items()))


def _half_a_pair(_settings: Mapping[str, Any], held: Collection[str]) -> str | None:
    """One of the two without the other; with neither the machine's own role is asked."""
    return next((name for name in sorted(SECRETS) if held and name not in held), None)


def aws_kind(
    channel: str,
    service: str,
    settings: type[S],
    compose: Compose[S],
    read: Callable[[Answer], Outcome],
    parse_events: ParseEvents,
) -> Kind:
    """A service that signs by the name `service`. No call has an idempotency key."""
    return Kind(
        channels=frozenset([channel]),
        settings=settings,
        secrets=SECRETS,
        idempotent=False,
        build=lambda given, held, tools: Aws(service, compose, read, given, held, tools.http),
        key_lasts=0.0,
        needs_sender=channel == "email",
        may_carry_phi=is_encrypted,
        lacks=_half_a_pair,
        parse_events=parse_events,
    )
