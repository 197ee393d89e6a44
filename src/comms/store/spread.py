"""Where each table lies when one machine is not enough: the one list from which the cluster is laid out.

By bucket: spread over the machines, rows of one bucket together. Everywhere: small tables that all read and
few write, whole on every machine. In one place: what one row or one order decides for all.
"""

from __future__ import annotations

BY_BUCKET = (
    "message",
    "dedup",
    "queue",
    "delivery",
    "ledger",
    "person_key",
    "person",
    "consent",
    "preference",
    "suppression",
    "fact",
    "cap_use",
    "inbox_item",
    "sandbox_item",
    "secure_page",
    "retention_later",
    "provider_event",
    "delivery_reference",
)
"""They grow with messages or persons. The first is the one that the others lie with."""

BY_OWN_KEY = {"device": "device_id"}
"""As large, and found by a key of their own, so that a token is one device whosever it is."""

EVERYWHERE = (
    "installation",
    "brand",
    "brand_key",
    "provider",
    "template",
    "template_version",
    "token",
    "key_epoch",
)
"""Set-up. What refers to another comes after it."""

IN_ONE_PLACE = (
    "migration",
    "audit_link",
    "worker",
    "witness",
    "pace",
    "breaker",
    "canary",
    "subscription",
    "feed",
    "retention_walk",
    "retention_turn",
)
"""The chain is one, slots are given from one row, feeds are read in the ledger's order, one worker erases."""
