"""A worker that is stopped in the middle of it all, and wakes when others have taken its work over."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from uuid import UUID

import pytest
from anyio import fail_after

from comms.embedded_postgres import running_dsn
from comms.store.database import connect_once
from tests.cli.service import Client, Prepared, in_seconds, letter, running, until

pytestmark = pytest.mark.anyio

LEASE = {"COMMS_LEASE_SECONDS": "3"}
_HOLD_THE_MARK = """
insert into delivery (bucket, message_id, n, brand_id, provider_id, payload, attempt, begun_at)
select bucket, id, 0, brand_id, 'sand', '', 1, now() from queue where id = $1
"""
_MARK_WAITS = "select exists (select from pg_locks where not granted and locktype = 'transactionid')"
_MARKED = "select exists (select from delivery where outcome is null)"


async def test_a_worker_that_was_stopped_between_its_mark_and_the_call_hands_nothing_over_when_it_wakes(
    prepared: Prepared, tmp_path: Path
) -> None:
    """Its lease is over, and another has sent the message: what its own mark allowed, it does not any more."""
    with prepared.serving(tmp_path, **LEASE) as (service, client), fail_after(25):
        code(client)
        dsn = running_dsn(service.data_dir)
        assert dsn
        connection = await connect_once(dsn)
        made = client.schedule(letter("paused", template_key="code", scheduled_at=in_seconds(1)))
        held = connection.transaction()
        await held.start()
        await connection.execute(_HOLD_THE_MARK, UUID(made.body["id"]))
        while not await connection.fetchval(_MARK_WAITS):
            pass
        os.kill(service.process.pid, signal.SIGSTOP)
        await held.rollback()
        while not await connection.fetchval(_MARKED):
            pass
        with running(tmp_path, "worker", **LEASE):
            while await connection.fetchval("select outcome from message") != "sent":
                pass
            os.kill(service.process.pid, signal.SIGCONT)
            until(lambda: in_flight(client) == 0)
        await connection.close()
        assert client.status(made.body["id"]) == "sent"
        assert len(client.outbox()) == 1
        assert client.events(made.body["id"]).count("attempted") == 2


def code(client: Client) -> None:
    """A template that would rather be sent twice than not at all."""
    about = {"brand_id": "loop", "key": "code", "channel": "sms", "on_unknown": "prefer_duplicate"}
    made = client.ask("POST", "/v1/messaging/templates", about)
    version = {"body": "Hi {{ name }}"}
    client.ask("POST", f"/v1/messaging/templates/{made.body['id']}/versions", version)


def in_flight(client: Client) -> int:
    """How many messages the process that answers is delivering."""
    found = re.search(r"^comms_in_flight (\d+)", client.ask("GET", "/metrics").body, re.MULTILINE)
    assert found
    return int(found[1])
