"""Along which providers of a route a delivery may go, and which of them is first."""

from __future__ import annotations

from uuid import UUID

from comms.actions.setup import Account, Brand
from comms.domain.weights import drawn
from comms.providers.base import Device


def reaching(route: list[Account], device: Device | None) -> list[Account]:
    """Those that reach the device, in the route's order. What is no push goes along all of it.

    A token that was never registered does not say whose it is: it is taken for one of the kind that the
    first of the route speaks to.
    """
    if device is None or not route:
        return route
    if device.kind is None:
        return [each for each in route if each.devices == route[0].devices]
    return [each for each in route if each.devices is None or device.kind in each.devices]


def shared(route: list[Account], brand: Brand, channel: str, message_id: UUID) -> list[Account]:
    """The way with the provider at its head whose turn it is by the brand's weights; the rest as it was."""
    first = drawn([each.provider_id for each in route], brand.settings.weights(channel), message_id)
    return sorted(route, key=lambda each: each.provider_id != first) if first else route
