"""Every address of the service, resource by resource. Order counts: words before `{id}`."""

from __future__ import annotations

from comms.http import (
    audit,
    batch,
    brands,
    bulk,
    consents,
    devices,
    erasure,
    facts,
    inbox,
    messages,
    notifications,
    persons,
    push,
    simulations,
    subscriptions,
    suppressions,
    templates,
    tokens,
    transfers,
    webhooks,
)

ROUTES = [
    *audit.ROUTES,
    *batch.ROUTES,
    *bulk.ROUTES,
    *messages.ROUTES,
    *brands.ROUTES,
    *tokens.ROUTES,
    *templates.ROUTES,
    *notifications.ROUTES,
    *inbox.ROUTES,
    *devices.ROUTES,
    *push.ROUTES,
    *consents.ROUTES,
    *suppressions.ROUTES,
    *transfers.ROUTES,
    *webhooks.ROUTES,
    *erasure.ROUTES,
    *persons.ROUTES,
    *facts.ROUTES,
    *simulations.ROUTES,
    *subscriptions.ROUTES,
]
