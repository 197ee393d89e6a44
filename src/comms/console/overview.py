"""The first page: is all well, and what came of the newest messages?"""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from comms.actions import health, messages
from comms.console.visit import Visit
from comms.domain.caller import ANY
from comms.store.messages import Filter

_NEWEST = 500


async def show(visit: Visit) -> Response:
    """Findings for those who run it, figures for those who use it."""
    brand_id, counted = await visit.brand_id(), Counter[str]()
    if brand_id and visit.caller.allows("read:messages"):
        newest = await messages.find(visit.house, visit.caller, Filter(brand_id), _NEWEST)
        counted = Counter(each["status"] for each in newest)
    runs_it = visit.caller.brand_id == ANY and visit.caller.allows("admin:comms")
    findings = await health.examine(visit.house) if runs_it else []
    return await visit.show(
        "overview.html", counted=counted.most_common(), newest=counted.total(), findings=findings
    )
