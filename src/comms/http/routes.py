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
    persons,
    simulations,
    subscriptions,
    suppressions,
    templates,
    tokens,
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
    *inbox.ROUTES,
    *devices.ROUTES,
    *consents.ROUTES,
    *suppressions.ROUTES,
    *webhooks.ROUTES,
    *erasure.ROUTES,
    *persons.ROUTES,
    *facts.ROUTES,
    *simulations.ROUTES,
    *subscriptions.ROUTES,
]
