"""`comms message`: the API from a terminal, beside a running service."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.service import Client, Service, comms, in_seconds, letter, printed, sentence

CANARY = "Xylophone"
NOWHERE = "019a20a3-1cbe-7914-bfa9-4f22b6fa28e7"


@pytest.fixture
def key() -> str:
    return str(uuid4())


@pytest.fixture
def brand(client: Client) -> str:
    """The brand that the messages are of: `client` has set it up."""
    assert client.ask("GET", "/v1/brands/loop").status == 200
    return "loop"


def answered(service: Service, *words: str, given: Any = None) -> Any:
    """The JSON that a command printed, as one line."""
    (line,) = printed(
        comms(service.folder, "message", *words, "--json", given=json.dumps(given))
    ).splitlines()
    return json.loads(line)


@pytest.mark.usefixtures("brand")
def test_schedule_get_list_and_cancel_answer_as_the_api_does(
    service: Service, client: Client, key: str
) -> None:
    body = letter(key, scheduled_at=in_seconds(600))
    made = answered(service, "schedule", given=body)
    assert made["status"] == "scheduled"
    assert made == client.show(made["id"]) == answered(service, "get", made["id"])
    found = answered(service, "list", "--brand", "loop", "--where", "-", given={"dedup_key": key})
    assert found == {"data": [made]}
    gone = answered(service, "cancel", made["id"])
    assert gone["status"] == "cancelled"
    assert gone == client.show(made["id"])


@pytest.mark.usefixtures("brand")
def test_simulate_answers_as_the_api_does(service: Service, client: Client, key: str) -> None:
    made = answered(service, "schedule", given=letter(key, scheduled_at=in_seconds(600), person_id=key))
    asked = {"brand_id": "loop", "person_id": key, "until": in_seconds(3600)}
    told = answered(service, "simulate", given=asked)
    assert [(each["message_id"], each["verdict"]) for each in told["data"]] == [(made["id"], "send")]
    assert told == client.ask("POST", "/v1/simulations", asked).body
    said = printed(comms(service.folder, "message", "simulate", given=json.dumps(asked)))
    assert said.splitlines()[0] == f"{made['id']}  {told['data'][0]['at']}  send"


@pytest.mark.usefixtures("brand")
def test_send_is_handed_over_by_the_running_worker_and_explained(
    service: Service, client: Client, key: str
) -> None:
    (service.folder / f"{key}.json").write_text(json.dumps(letter(key)))
    sent = answered(service, "send", f"{key}.json")
    assert (sent["status"], sent["provider"]) == ("sent", "sand")
    explained = answered(service, "explain", sent["message_id"])
    assert explained == client.ask("GET", f"/v1/messages/{sent['message_id']}/explain").body
    assert explained["verdict"] == "send"


@pytest.mark.usefixtures("brand")
def test_without_json_a_person_reads_what_happened(service: Service, client: Client, key: str) -> None:
    message_id = client.send(letter(key)).body["message_id"]
    shown = printed(comms(service.folder, "message", "get", message_id))
    assert ["status", "sent"] in [line.split() for line in shown.splitlines()]
    story = [line.split()[1] for line in shown.splitlines() if line.startswith("  ")]
    assert story == ["accepted", "claimed", "attempted", "sent"]


@pytest.mark.usefixtures("brand")
@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        ("schedule", json.dumps(letter(CANARY, variables={}, scheduled_at=in_seconds(9))), "name"),
        ("send", json.dumps(letter(CANARY, hippa=CANARY)), "hipaa"),
        ("send", json.dumps(letter(CANARY, template_key=CANARY)), "no published template"),
        ("list --brand loop --where -", json.dumps({"recipent": CANARY}), "recipient"),
        (f"get {NOWHERE}", "", "There is no such message"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence_without_the_value(
    service: Service, words: str, given: str, said: str
) -> None:
    told = sentence(comms(service.folder, "message", *words.split(), "--json", given=given))
    assert said in told
    assert CANARY not in told


@pytest.mark.usefixtures("brand")
def test_what_was_sent_can_not_be_cancelled_and_what_waits_can_not_be_explained(
    service: Service, client: Client, key: str
) -> None:
    sent = client.send(letter(f"{key} sent")).body["message_id"]
    waits = client.schedule(letter(f"{key} waits", scheduled_at=in_seconds(600))).body["id"]
    assert "sent" in sentence(comms(service.folder, "message", "cancel", sent))
    assert sentence(comms(service.folder, "message", "explain", waits))


@pytest.mark.usefixtures("brand")
def test_a_person_reads_why_and_all_verdicts_are_verified(service: Service, client: Client, key: str) -> None:
    sent = client.send(letter(key)).body["message_id"]
    first, *because = printed(comms(service.folder, "message", "explain", sent)).splitlines()
    assert first.startswith("send: Nothing speaks against it.")
    assert all(line.startswith("  - ") for line in because)
    assert printed(comms(service.folder, "message", "explain", "--verify")).strip().endswith("verdicts match")
    assert answered(service, "explain", "--verify")["differing"] == []
    assert "Name a message" in comms(service.folder, "message", "explain", sent, "--verify").stderr
