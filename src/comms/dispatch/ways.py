"""Along which providers of a route a delivery may go."""

from __future__ import annotations

from comms.actions.setup import Account
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
