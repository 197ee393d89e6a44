"""What is known of persons."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from comms.domain import zones
from comms.domain.brand import Locale
from comms.http.shapes.common import Name


class PutPerson(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a person: a name of the IANA time zone database, a BCP 47 tag."""

    brand_id: Name
    timezone: str | None = None
    locale: Locale | None = None

    def __post_init__(self) -> None:
        """The zone must be one that this machine knows."""
        if self.timezone is not None and self.timezone not in zones.names():
            raise ValueError("timezone must name an IANA time zone, such as Europe/Berlin")


class Person(Struct, frozen=True):
    """What is known of a person; what is not known is not there."""

    brand_id: str
    person_id: str
    timezone: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
