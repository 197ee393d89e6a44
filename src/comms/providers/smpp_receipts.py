"""What a message centre hands us: receipts for texts that it took, and texts from people.

A receipt is optional parameters where the centre gives them, else a text that all centres write much alike:
`id:7220 sub:001 dlvrd:001 submit date:2411231203 done date:2411231204 stat:DELIVRD err:000 text:Hi`
(SMPP 3.4, appendix B). The dates have no zone, so a receipt's time is when we hear of it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from comms.providers.events import Event, EventName, Happening, Inbound
from comms.providers.smpp_pdu import Address, Delivered

ReceiptIds = Literal["as_given", "decimal", "hex"]
"""How receipts write the id that the answer to a submission gave: the same, or in the other base."""

_ID_PARAMETER, _STATE_PARAMETER = 0x001E, 0x0427
_WHAT, _RECEIPT, _NOTICE = 0x3C, 0x04, 0x20  # esm_class, section 5.2.12
_STATES = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}
"""Section 5.2.28."""

_EVENTS: dict[str, EventName] = {
    "ACCEPTD": "accepted",
    "ENROUTE": "accepted",
    "DELIVRD": "delivered",
    "DELETED": "failed",
    "EXPIRED": "failed",
    "REJECTD": "failed",
    "UNDELIV": "failed",
}
"""UNKNOWN is none: no carrier ever said."""

_FIELD = re.compile(r"\b(id|stat|err):([0-9A-Za-z._-]{1,64})", re.IGNORECASE)


def happening(heard_as: str, said: Delivered, ids: ReceiptIds, now: datetime) -> Happening | None:
    """What it is about; None where it asks nothing of us."""
    if said.esm_class & _WHAT in {_RECEIPT, _NOTICE} or _ID_PARAMETER in said.parameters:
        return _receipt(said, ids, now)
    if said.esm_class & _WHAT or said.text is None:
        return None  # a handset's own acknowledgement, or a picture
    return Inbound(heard_as, now, _number(said.source), _number(said.to), said.text)


def reference(message_id: str | None, ids: ReceiptIds, *, of_receipt: bool) -> str | None:
    """The id as we keep it: where the bases differ, in decimal."""
    if message_id is None or ids == "as_given":
        return message_id
    is_decimal = of_receipt == (ids == "decimal")
    try:
        return str(int(message_id, 10 if is_decimal else 16))
    except ValueError:
        return message_id


def _receipt(said: Delivered, ids: ReceiptIds, now: datetime) -> Event | None:
    fields = {name.lower(): value for name, value in reversed(_FIELD.findall(said.text or ""))}
    stated = said.parameters.get(_STATE_PARAMETER)
    state = _STATES.get(stated[0], "") if stated else fields.get("stat", "").upper()
    given = said.parameters.get(_ID_PARAMETER, b"").rstrip(b"\0").decode("latin-1") or fields.get("id")
    ours = reference(given, ids, of_receipt=True)
    if ours is None or state not in _EVENTS:
        return None
    event = _EVENTS[state]
    return Event(
        id=f"{ours}/{state}",
        event=event,
        at=now,
        reference=ours,
        recipient=_number(said.source),
        reason=f"smpp_{state.lower()}_{fields.get('err', '000')}" if event == "failed" else None,
    )


def _number(address: Address) -> str:
    """E.164 where it is international; a short code and a name are what they are."""
    digits = address.text.removeprefix("+")
    return f"+{digits}" if digits.isdecimal() and (address.ton == 1 or len(digits) > 8) else address.text
