"""Who calls: what a token stands for."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from comms.domain.errors import Refused

ANY = "*"
SCOPES = (
    "write:messages",
    "read:messages",
    "manage:templates",
    "manage:preferences",
    "manage:brands",
    "issue:person-tokens",
    "read:audit",
    "admin:comms",
)


def scopes_of(said: str) -> frozenset[str]:
    """Those of ours among an issuer's, apart by blanks (RFC 6749, section 3.3).

    `manage` is to read and to write: `manage:messages` is both of ours. What is unknown allows nothing.
    """
    asked = set(said.split(" "))
    if "manage:messages" in asked:
        asked |= {"read:messages", "write:messages"}
    return frozenset(asked.intersection(SCOPES))


@dataclass(frozen=True, slots=True)
class Caller:
    """One call's token: `brand_id` is `*` for any brand; `person_id` is set for a person's own token."""

    actor: str
    brand_id: str
    scopes: frozenset[str]
    request_id: UUID
    person_id: str | None = None

    def allows(self, scope: str) -> bool:
        """Does the token carry `scope`? `admin:comms` carries all."""
        return scope in self.scopes or "admin:comms" in self.scopes

    def act_for(self, brand_id: str) -> None:
        """403 `forbidden` where the token is another brand's."""
        if self.brand_id not in (ANY, brand_id):
            raise Refused(403, "forbidden", "The token belongs to another brand than brand_id names.")

    def act_for_person(self, brand_id: str, person_id: str) -> None:
        """The same, and 403 where the token is another person's own."""
        self.act_for(brand_id)
        if self.person_id not in (None, person_id):
            raise Refused(403, "forbidden", "The token belongs to another person.")
