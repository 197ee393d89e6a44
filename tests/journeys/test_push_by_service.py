"""A push to a person, through the services that know the person's devices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from comms.actions import acceptance, brands, devices, events, messages
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.providers.events import Event
from comms.providers.http import Http
from comms.store import breaker
from comms.store.breaker import ALL as ANY_BRAND
from comms.store.breaker import Key, Pauses
from comms.testing import FakeClock
from tests.journeys.story import ask, outbox, status, tools
from tests.providers.contract import Case
from tests.providers.push_keys import BROWSER
from tests.providers.vendor_cases import APNS, EXPO, FCM, WEBPUSH
from tests.providers.vendor_server import Said, VendorServer, vendor

pytestmark = pytest.mark.anyio

ALL = [FCM, APNS, WEBPUSH, EXPO]
PATHS = {
    "fcm": "/v1/projects/loop-4711/messages:send",
    "apns": f"/3/device/{APNS.token}",
    "webpush": "/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "expo": "/--/api/v2/push/send",
}


class Services:
    """A server that plays all of them, each at its own path."""

    def __init__(
        self, house: House, caller: Caller, clock: FakeClock, server: VendorServer, worker: Worker
    ) -> None:
        self.house = house
        self.caller = caller
        self.clock = clock
        self.server = server
        self.worker = worker
        self.sent = 0
        server.aside = dict(FCM.aside)
        for case in ALL:
            self.answers(case, case.taken)

    def answers(self, case: Case, said: Said) -> None:
        self.server.aside[PATHS[case.kind]] = said  # type: ignore[index]

    @property
    def called(self) -> list[str]:
        kinds = {path: kind for kind, path in PATHS.items()}
        return sorted(kinds[asked.path] for asked in self.server.asked_aside if asked.path in kinds)

    async def routes(self, *kinds: str) -> None:
        """The brand's push goes along these, in this order; `sand` is the sandbox."""
        for case in ALL:
            settings = {**case.settings, "base_url": self.server.url}
            await brands.put_provider(
                self.house, self.caller, case.kind, case.kind, settings, dict(case.secrets),
                baa=False, limits={}, brands=None,
            )  # fmt: skip
        brand = await self.house.setup.require_brand("loop")
        routes = msgspec.structs.replace(brand.settings.routes, push=list(kinds))
        await brands.put_brand(
            self.house, self.caller, "loop", msgspec.structs.replace(brand.settings, routes=routes)
        )
        await self.house.setup.refresh()

    async def has(self, *cases: Case) -> list[str]:
        """The person holds such devices; what they are called."""
        put = [
            await devices.put(self.house, self.caller, "loop", "p1", case.kind, case.token, None)
            for case in cases
        ]
        return [each["id"] for each in put]

    async def push(self, recipient: str = "person") -> str:
        self.sent += 1
        request = ask(self.clock, "push", recipient=recipient, dedup_key=f"key-{self.sent}")
        made = await acceptance.schedule(self.house, self.caller, request)
        self.clock.advance(300)
        await self.worker.once()
        return str(made.message["id"])

    async def failure(self, message_id: str) -> str | None:
        shown = await messages.get_scheduled(self.house, self.caller, UUID(message_id))
        return None if shown["status"] == "sent" else str(shown["failure_reason"])

    async def held(self) -> list[str]:
        found = await devices.listed(self.house, self.caller, "loop", "p1")
        return sorted(each["kind"] for each in found)

    async def bounces(self, message_id: str) -> list[dict[str, object]]:
        timeline = await messages.timeline(self.house, self.caller, UUID(message_id))
        return [entry["details"] for entry in timeline if entry["event"] == "bounced"]


@pytest.fixture
async def services(house: House, loop_health: Caller, clock: FakeClock) -> AsyncIterator[Services]:
    async with vendor(Said(599)) as server, Http() as http:
        yield Services(house, loop_health, clock, server, Worker(house, tools(house, http)))


async def test_each_device_is_reached_through_the_service_that_knows_it(services: Services) -> None:
    await services.routes("expo", "webpush", "apns", "fcm")
    await services.has(*ALL)
    message_id = await services.push()
    assert await services.failure(message_id) is None
    assert services.called == ["apns", "expo", "fcm", "webpush"]


async def test_a_device_that_nobody_reaches_is_refused_and_the_others_get_theirs(services: Services) -> None:
    await services.routes("fcm")
    [_, name] = await services.has(FCM, APNS)
    message_id = await services.push()
    assert await services.failure(message_id) is None
    assert services.called == ["fcm"]
    explained = await messages.explain(services.house, services.caller, UUID(message_id))
    facts = [fact for fact in explained["facts"] if fact["kind"] == "device"]
    assert facts == [{"kind": "device", "id": name, "says": "no_provider_for_device"}]


async def test_where_nobody_reaches_any_the_message_fails_and_says_why(services: Services) -> None:
    await services.routes("fcm", "expo")
    await services.has(APNS, WEBPUSH)
    message_id = await services.push()
    assert await services.failure(message_id) == "no_provider_for_device"
    assert services.called == []
    assert await services.held() == ["apns", "webpush"]


async def test_the_sandbox_takes_what_is_left(services: Services) -> None:
    await services.routes("fcm", "sand")
    await services.has(FCM, APNS)
    await services.push()
    assert services.called == ["fcm"]
    assert [item["recipient"] for item in await outbox(services.house, services.caller)] == [APNS.token]


async def test_the_next_that_speaks_to_it_is_used_where_the_first_is_misconfigured(
    services: Services,
) -> None:
    await services.routes("fcm", "apns", "sand")
    services.answers(APNS, APNS.misconfigured)
    await services.has(APNS)
    assert await services.failure(await services.push()) is None
    assert services.called == ["apns"]
    assert len(await outbox(services.house, services.caller)) == 1


async def test_a_token_that_was_never_registered_goes_to_the_first_of_the_route(services: Services) -> None:
    await services.routes("expo", "fcm", "sand")
    services.answers(EXPO, EXPO.misconfigured)
    await services.push(EXPO.token)
    assert services.called == ["expo"]  # and to none that speaks to others


async def test_a_subscription_that_was_never_registered_goes_to_browsers(services: Services) -> None:
    await services.routes("expo", "webpush")
    assert await services.failure(await services.push(WEBPUSH.token)) is None
    assert services.called == ["webpush"]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.kind)
async def test_a_device_that_has_gone_is_forgotten(services: Services, case: Case) -> None:
    await services.routes(*(each.kind for each in ALL))
    [name] = await services.has(case)
    services.answers(case, case.bad_recipient)
    message_id = await services.push()
    assert str(await services.failure(message_id)).startswith(f"provider_rejected: {case.kind}_")
    assert await services.held() == []
    [bounced] = await services.bounces(message_id)
    assert (bounced["device_id"], bounced["forgotten"], bounced["provider_id"]) == (name, True, case.kind)
    whole = json.dumps(await messages.timeline(services.house, services.caller, UUID(message_id)))
    assert case.token[:20] not in whole
    assert await services.failure(await services.push()) == "no_device"


async def test_a_refusal_for_another_reason_leaves_the_device_alone(services: Services) -> None:
    await services.routes("apns")
    await services.has(APNS)
    services.answers(APNS, APNS.refused)
    message_id = await services.push()
    assert (await services.held(), await services.bounces(message_id)) == (["apns"], [])


async def test_one_that_has_gone_takes_no_other_along(services: Services) -> None:
    await services.routes("fcm", "apns")
    await services.has(FCM, APNS)
    services.answers(FCM, FCM.bad_recipient)
    message_id = await services.push()
    assert await services.failure(message_id) is None
    assert (await services.held(), len(await services.bounces(message_id))) == (["apns"], 1)


async def test_a_token_that_was_registered_again_since_stays(services: Services) -> None:
    """`timestamp` is when Apple found it gone: before that moment it was, and now it is back."""
    await services.routes("apns")
    await services.has(APNS)
    before = int(services.clock.now().timestamp() * 1000) - 1
    services.answers(APNS, Said(410, {"reason": "Unregistered", "timestamp": before}))
    message_id = await services.push()
    assert (await services.held(), await services.bounces(message_id)) == (["apns"], [])


async def test_a_subscription_is_one_device_however_it_is_written(services: Services) -> None:
    await services.routes("webpush")
    given = json.loads(WEBPUSH.token)
    other = json.dumps({"keys": given["keys"], "endpoint": given["endpoint"]}, separators=(" , ", ":"))
    await services.has(WEBPUSH)
    await devices.put(services.house, services.caller, "loop", "p1", "webpush", other, None)
    assert await services.held() == ["webpush"]
    services.answers(WEBPUSH, WEBPUSH.bad_recipient)
    await services.push(other)  # as it is, and it is known all the same
    assert await services.held() == []


async def test_a_receipt_forgets_a_device_unless_it_came_back(services: Services) -> None:
    await services.routes("expo")
    [name] = await services.has(EXPO)
    message_id = await services.push()

    def gone(n: int) -> Event:
        return Event(
            f"t{n}/receipt", "bounced", services.clock.now(), f"{message_id}-0", f"t{n}", EXPO.token,
            for_good=True, reason="expo_DeviceNotRegistered",
        )  # fmt: skip

    services.clock.advance(900)
    await services.has(EXPO)
    await events.hear(services.house, "expo", [gone(1)])
    assert await services.held() == ["expo"]
    second = await services.push()
    services.clock.advance(900)
    message_id = second
    await events.hear(services.house, "expo", [gone(2)])
    assert await services.held() == []
    assert await services.bounces(second) == [
        {"provider_id": "expo", "reason": "expo_DeviceNotRegistered", "device_id": name, "forgotten": True}
    ]
    assert await status(services.house, services.caller, second) == "sent"


async def test_a_subscription_is_looked_at_when_it_is_registered_and_when_it_is_written_to(
    services: Services,
) -> None:
    inside = BROWSER.token("https://127.0.0.1/push")
    await services.routes("fcm")
    for token in (inside, "{}", "token-1"):
        with pytest.raises(Refused, match="invalid_recipient: token must"):
            await devices.put(services.house, services.caller, "loop", "p1", "webpush", token, None)
    for token in (inside, "{}"):
        with pytest.raises(Refused, match="invalid_recipient: recipient must"):
            await acceptance.schedule(
                services.house, services.caller, ask(services.clock, "push", recipient=token)
            )
    await services.routes("webpush")  # where another server stands in, endpoints are not called
    await devices.put(services.house, services.caller, "loop", "p1", "webpush", inside, None)


@pytest.mark.parametrize("cases", [(APNS, FCM), (FCM, APNS)], ids=["first", "last"])
async def test_a_service_that_is_ill_keeps_no_other_device_waiting(
    services: Services, cases: tuple[Case, ...]
) -> None:
    await services.routes("fcm", "apns")
    await services.has(*cases)
    account = await services.house.setup.account("apns")
    assert account is not None
    pauses, nobody = Pauses(3600.0, 3600.0), UUID(int=1)
    await breaker.open_(
        services.house.database.engine, services.clock.now(), Key("apns", ANY_BRAND), account.updated_at,
        nobody, pauses, 0.0, "ill",
    )  # fmt: skip
    await services.push()
    assert services.called == ["fcm"]
