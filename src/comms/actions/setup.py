"""What is set up, as every process remembers it: brands with their ciphers, providers, templates, tokens.

Remembered until the epoch moves. A read looks at the epoch at most twice a second, so that a
revoked token is refused within one; the group that accepts messages carries the epoch, and is
refused where it moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from comms.clock import Clock
from comms.domain.brand import BrandSettings, fallbacks
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of_digest
from comms.privacy.cipher import Cipher
from comms.privacy.epochs import MASTERS, EpochKeys
from comms.privacy.keyring import MasterKey
from comms.providers.catalogue import KINDS
from comms.render.versions import Source, Version, publish
from comms.store import keys
from comms.store import setup as rows
from comms.store.database import Database
from comms.store.keys import PersonKey

_FRESH = 0.5
_KEPT = 50_000
"""Rows kept; persons' tokens are the many."""

_VERSIONS = 2_000
"""Compiled versions kept; they never change, so the epoch does not concern them."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand and the door to its sealed content."""

    brand_id: str
    settings: BrandSettings
    cipher: Cipher
    held_at: datetime | None

    def person_hash(self, person_id: str) -> bytes:
        """By which a person's rows are found."""
        return self.cipher.digest("person_id", person_id)

    def person(self, person_id: str) -> PersonKey:
        """Where they are."""
        hashed = self.person_hash(person_id)
        return PersonKey(bucket_of_digest(hashed), self.brand_id, hashed)


@dataclass(frozen=True, slots=True)
class Account:
    """A provider as it is set up."""

    provider_id: str
    kind: str
    settings: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    baa: bool
    brands: list[str] | None
    updated_at: datetime
    limits: dict[str, float] = field(default_factory=dict)
    """`per_second`, `concurrency`; what is not there is not limited."""

    def may_be_asked_again(self, span: timedelta) -> bool:
        """Is a second call with the same key never a second message, in all of `span`?

        That is from the message's time to its deadline: no call is before, none after, and the deadline
        is later than `max_late` says where a hold was released. Of a kind that is not known here: no.
        """
        kind = KINDS.get(self.kind)
        return kind is not None and kind.idempotent and span.total_seconds() < kind.key_lasts

    @property
    def devices(self) -> frozenset[str] | None:
        """The kinds of device that it reaches; None: all."""
        kind = KINDS.get(self.kind)
        return kind.devices if kind else frozenset()

    @property
    def echoes_key(self) -> bool:
        """Do its events carry our key?"""
        kind = KINDS.get(self.kind)
        return kind is None or kind.echoes_key

    @property
    def lacks(self) -> str | None:
        """The secret that is missing, without which it can send nothing."""
        kind = KINDS.get(self.kind)
        return kind.lacks(self.settings, self.secrets) if kind else None

    def carries(self, brand_id: str, channel: str, *, hipaa: bool) -> bool:
        """May it take such a message?"""
        kind = KINDS.get(self.kind)
        if kind is None or channel not in kind.channels:
            return False
        if hipaa and not (self.baa and kind.may_carry_phi(self.settings)):
            return False
        return self.brands is None or brand_id in self.brands


class Published(NamedTuple):
    """A template's published versions by their languages, and the newest of them."""

    by_locale: dict[str | None, UUID]
    newest: UUID

    def nearest(self, *locales: str | None) -> UUID:
        """In the first of `locales`, or near it; else near the next; else in none, else the newest."""
        tags = (tag for locale in locales if locale for tag in fallbacks(locale))
        near = next((self.by_locale[tag] for tag in tags if tag in self.by_locale), None)
        return near or self.by_locale.get(None, self.newest)


class Setup:
    """The cache of one process."""

    def __init__(
        self, database: Database, master: MasterKey, clock: Clock, epochs: EpochKeys | None = None
    ) -> None:
        self.master = master
        self.epochs = epochs or EpochKeys(master)
        self.epoch = 0
        self.held: frozenset[str] = frozenset()
        self._database = database
        self._clock = clock
        self._looked_at = float("-inf")
        self._in_doubt = False
        self._lock = asyncio.Lock()
        self._kept: dict[tuple[str | UUID, ...], Any] = {}
        self._versions: dict[UUID, Version] = {}

    async def refresh(self) -> None:
        """Forget what has changed. Costs one query at most twice a second, however many ask."""
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return  # somebody looked while we waited
            asked_at, self._in_doubt = self._clock.monotonic(), False
            epoch, held = await rows.epoch(self._database.engine)
            if epoch != self.epoch:
                self._kept.clear()
                self.epoch, self.held = epoch, held
            self._looked_at = asked_at

    def doubt(self) -> None:
        """Look again at the next opportunity, also where a look is under way."""
        self._in_doubt = True

    def _is_fresh(self) -> bool:
        return not self._in_doubt and self._clock.monotonic() - self._looked_at < _FRESH

    async def brand(self, brand_id: str) -> Brand | None:
        """The brand, or None."""
        return await self._keep(("brand", brand_id), lambda: self._load_brand(brand_id))

    async def require_brand(self, brand_id: str) -> Brand:
        """The brand; 422 `unknown_brand` where there is none."""
        brand = await self.brand(brand_id)
        if brand is None:
            raise Refused(422, "unknown_brand", "There is no brand with this brand_id; make it first.")
        return brand

    async def account(self, provider_id: str) -> Account | None:
        """The provider, or None."""
        return await self._keep(("provider", provider_id), lambda: self._load_account(provider_id))

    async def listeners(self) -> list[Account]:
        """The providers that hear on a line of their own."""
        there = await rows.many(self._database.owner, "providers", "*")
        hearing = {name for name, kind in KINDS.items() if kind.listens}
        found = [await self.account(row["provider_id"]) for row in there if row["kind"] in hearing]
        return [each for each in found if each]

    async def template(self, brand_id: str, key: str, channel: str) -> asyncpg.Record | None:
        """The template's row, or None."""
        load = lambda: rows.one(self._database.owner, "find_template", brand_id, key, channel)  # noqa: E731
        return await self._keep(("template", brand_id, key, channel), load)

    async def template_by_id(self, template_id: UUID) -> asyncpg.Record | None:
        """The template's row, or None."""
        load = lambda: rows.one(self._database.owner, "template", template_id)  # noqa: E731
        return await self._keep(("template", template_id), load)

    async def token(self, digest: bytes) -> asyncpg.Record | None:
        """The token's row, or None; only found ones are remembered, so that guesses fill nothing."""
        load = lambda: rows.one(self._database.owner, "token", digest)  # noqa: E731
        return await self._keep(("token", digest.hex()), load)

    async def key_epoch(self) -> int:
        """The epoch with whose key new persons' secrets are wrapped."""
        return await self._keep(("key epoch",), self._load_key_epoch) or MASTERS

    async def published(self, template: asyncpg.Record) -> Published | None:
        """What of it is published, or None."""
        template_id = template["template_id"]
        return await self._keep(("published", template_id), lambda: self._load_published(template_id))

    async def version(self, version_id: UUID) -> Version:
        """A compiled version."""
        if version_id not in self._versions:
            row = await rows.one(self._database.owner, "version", version_id)
            if row is None:
                raise LookupError("a message points to a version that is not there")
            if len(self._versions) >= _VERSIONS:
                self._versions.clear()
            self._versions[version_id] = publish(msgspec.convert(row["source"], Source))
        return self._versions[version_id]

    async def route(
        self, brand: Brand, channel: str, *, hipaa: bool, through: str | None = None
    ) -> list[Account]:
        """The providers that may take such a message of this brand, in order; `through`: this one alone."""
        named = [through] if through else brand.settings.routes.of(channel)
        found = [await self.account(provider_id) for provider_id in named]
        return [each for each in found if each and each.carries(brand.brand_id, channel, hipaa=hipaa)]

    async def require_route(
        self, brand: Brand, channel: str, *, hipaa: bool, through: str | None = None
    ) -> None:
        """422 `no_route` where nothing could carry such a message."""
        route = await self.route(brand, channel, hipaa=hipaa, through=through)
        ready = [each for each in route if each.lacks is None]
        if not route:
            need = " that may carry PHI" if hipaa else ""
            why = f"The brand's route for this channel has no provider{need}; set one up."
        elif not ready:
            why = f"The provider {route[0].provider_id} has no secret {route[0].lacks}; set it."
        elif all(KINDS[each.kind].needs_sender for each in ready) and not brand.settings.senders.of(channel):
            why = f"The brand has no senders.{channel}, which its route for this channel needs; set it."
        else:
            return
        raise Refused(422, "no_route", why)

    async def _keep(
        self, key: tuple[str | UUID, ...], load: Callable[[], Awaitable[Row | None]]
    ) -> Row | None:
        if key in self._kept:
            kept: Row = self._kept[key]
            return kept
        epoch = self.epoch
        found = await load()
        if found is not None and epoch == self.epoch:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found

    async def _load_published(self, template_id: UUID) -> Published | None:
        found = await rows.many(self._database.owner, "current_versions", template_id)
        by_locale = {row["locale"]: row["version_id"] for row in found}
        return Published(by_locale, found[0]["version_id"]) if found else None

    async def _load_key_epoch(self) -> int:
        newest = await keys.newest(self._database.owner)
        return newest["epoch"] if newest else MASTERS

    async def _load_brand(self, brand_id: str) -> Brand | None:
        row = await rows.one(self._database.owner, "brand", brand_id)
        if row is None:
            return None
        keys: dict[str, dict[int, bytes]] = {"seal": {}, "hash": {}}
        for key in await rows.many(self._database.owner, "brand_keys", brand_id):
            purpose = key_purpose(brand_id, key["purpose"], key["key_id"])
            keys[key["purpose"]][key["key_id"]] = self.master.unwrap(key["wrapped"], purpose)
        cipher = Cipher(brand_id, keys["seal"], keys["hash"][1])
        settings = msgspec.convert(row["settings"], BrandSettings)
        return Brand(brand_id, settings, cipher, row["held_at"])

    async def _load_account(self, provider_id: str) -> Account | None:
        row = await rows.one(self._database.owner, "provider", provider_id)
        if row is None:
            return None
        secrets = open_secrets(self.master, provider_id, row["secrets"])
        about = (row["kind"], row["settings"], secrets, row["baa"], row["brands"], row["updated_at"])
        return Account(provider_id, *about, row["limits"])


def key_purpose(brand_id: str, purpose: str, key_id: int) -> str:
    """What a brand's key is wrapped for."""
    return f"brand/{purpose}/{key_id}/{brand_id}"


def open_secrets(master: MasterKey, provider_id: str, wrapped: bytes | None) -> dict[str, str]:
    """A provider's secrets by name."""
    if wrapped is None:
        return {}
    opened: dict[str, str] = msgspec.json.decode(master.unwrap(wrapped, f"provider/{provider_id}"))
    return opened
