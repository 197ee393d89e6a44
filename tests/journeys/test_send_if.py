"""A message that is sent for a fact goes only as long as it is so."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from comms.actions import acceptance, facts, messages
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.options import Options
from comms.testing import FakeClock
from tests.journeys.story import ask, ended, schedule

pytestmark = pytest.mark.anyio

BOOKED = Options(send_if={"appointment:123": "booked"})


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (["booked"], ("sent", None)),
        (["cancelled", "booked"], ("sent", None)),
        (["booked", "cancelled"], ("suppressed", "guard_not_met")),
        (["Booked"], ("suppressed", "guard_not_met")),
        ([], ("suppressed", "guard_not_met")),
        (["booked", None], ("suppressed", "guard_not_met")),
    ],
)
async def test_what_is_so_when_it_is_sent_decides(
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    said: list[str | None],
    ends: tuple[str, str | None],
) -> None:
    made = await schedule(house, loop_health, ask(clock, options=BOOKED))
    for value in said:
        if value is None:
            await facts.remove(house, loop_health, "loop", "appointment:123")
        else:
            await facts.put(house, loop_health, "loop", "appointment:123", value)
    clock.advance(300)
    await worker.once()
    assert await ended(house, loop_health, made) == ends


async def test_all_of_several_facts_must_be_so(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    both = Options(send_if={"a": "1", "b": "2"})
    made = [await schedule(house, loop_health, ask(clock, options=both, dedup_key=key)) for key in "xy"]
    single = await schedule(
        house, loop_health, ask(clock, options=Options(send_if={"b": "2"}), dedup_key="z")
    )
    await facts.put(house, loop_health, "loop", "b", "2")
    await facts.put(house, loop_health, "loop", "a", "2")
    for number in range(70):  # more than there are buckets
        await facts.put(house, loop_health, "loop", f"other-{number}", "2")
    clock.advance(300)
    await worker.once()
    found = [(await ended(house, loop_health, each))[0] for each in (*made, single)]
    assert found == ["suppressed", "suppressed", "sent"]


async def test_send_is_refused_where_it_is_not_so(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    now = replace(ask(clock, options=BOOKED), scheduled_at=None)
    with pytest.raises(Refused) as refused:
        await acceptance.schedule(house, loop_health, now)
    assert (refused.value.status, refused.value.code) == (422, "guard_not_met")
    await facts.put(house, loop_health, "loop", "appointment:123", "booked")
    await acceptance.schedule(house, loop_health, now)


async def test_the_explanation_names_the_fact_and_keeps_its_words_sealed(
    house: House, loop_health: Caller, clock: FakeClock, worker: Worker
) -> None:
    await facts.put(house, loop_health, "loop", "appointment:123", "missed-by-ada")
    made = await schedule(house, loop_health, ask(clock, options=BOOKED))
    clock.advance(300)
    await worker.once()
    told = await messages.explain(house, loop_health, UUID(made))
    [guard] = [each for each in told["facts"] if each["kind"] == "guard"]
    assert (guard["name"], guard["wants"]) == ("appointment:123", "booked")
    row = await house.database.owner.fetchrow("select * from fact")
    assert row is not None
    assert guard["id"] == str(row["id"])
    since = "2030-01-01T12:00:00.000Z"
    assert (
        f"The fact appointment:123 was not booked, as it must be (since {since})."
        in told["details"]["because"]
    )
    assert told["details"]["otherwise"] == [f"fact {row['id']} had been as send_if wants it"]
    for table in ("message", "fact", "ledger", "queue", "dedup"):
        text = str(await house.database.owner.fetchval(f"select jsonb_agg(t)::text from {table} t"))
        for word in ("appointment", "booked", "missed"):
            for spelt in (word, word.encode().hex()):
                assert spelt not in text, table


async def test_the_options_are_part_of_the_content(
    house: House, loop_health: Caller, clock: FakeClock
) -> None:
    first = ask(clock, options=Options(subject="a", send_if={"x": "1", "y": "2"}))
    await schedule(house, loop_health, first)
    same = replace(first, options=Options(subject="a", send_if={"y": "2", "x": "1"}))
    assert (await acceptance.schedule(house, loop_health, same)).replayed
    for other in (Options(), Options(subject="b"), Options(subject="a", send_if={"x": "1"})):
        with pytest.raises(Refused, match="differs in options;"):
            await acceptance.schedule(house, loop_health, replace(first, options=other))
