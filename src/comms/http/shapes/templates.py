"""Templates and their versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from comms.domain.brand import Channel, Locale
from comms.http.shapes.common import Identifier, Name


class CreateTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    """A template, before it has a version; `max_late` in seconds."""

    brand_id: Name
    key: Name
    channel: Channel
    description: str | None = None
    category: Name = "transactional"
    max_late: Annotated[int, Meta(ge=1, le=31_536_000)] = 14_400
    on_unknown: Literal["prefer_silence", "prefer_duplicate"] = "prefer_silence"


class Template(Struct, frozen=True):
    """A template."""

    id: str
    brand_id: str
    key: str
    description: str | None
    channel: str
    current_version_id: str | None
    created_by: str
    created_at: str
    updated_at: str
    details: dict[str, Any]


class TemplateList(Struct, frozen=True):
    """Newest first."""

    items: list[Template]
    next_cursor: str | UnsetType = UNSET


class SecurePart(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands behind `secure_link`: Liquid, shown as text. The link ends after `expires_in` seconds."""

    title: Annotated[str, Meta(min_length=1)]
    body: Annotated[str, Meta(min_length=1)]
    expires_in: Annotated[int, Meta(ge=60, le=7_776_000)] = 604_800


class CreateVersion(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a version says, in the language `locale`; `body` is Liquid: for e-mail HTML or MJML, else text."""

    body: Annotated[str, Meta(min_length=1)]
    subject: str | None = None
    text: str | None = None
    action_url: str | None = None
    secure: SecurePart | None = None
    locale: Locale | None = None
    classes: dict[str, Literal["public", "pii", "phi"]] = {}
    draft: bool = False


class Version(Struct, frozen=True):
    """A published version never changes."""

    id: str
    template_id: str
    brand_id: str
    version_number: int
    subject: str | None
    body: str
    variables: list[str]
    created_by: str
    created_at: str
    details: dict[str, Any]


class VersionList(Struct, frozen=True):
    """Newest first."""

    items: list[Version]


class Render(Struct, frozen=True, forbid_unknown_fields=True):
    """A preview of a version, the current one unless another is named."""

    payload: dict[str, Any]
    strict: bool = False
    version_id: Identifier | None = None


class RenderedPreview(Struct, frozen=True):
    """What it would say; missing variables are shown by their names."""

    subject: str | None
    body: str
    missing_variables: list[str]
    details: dict[str, Any] | UnsetType = UNSET
