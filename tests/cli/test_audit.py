"""`comms audit`: proved beside a running service, and offline over an export."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.service import Client, Service, comms, printed, sentence, until


def test_the_ledger_is_proved_while_the_service_runs(service: Service, client: Client) -> None:
    assert client.ask("GET", "/readyz").status == 200
    first, second, third = until(lambda: _proved(service))
    assert first.endswith(" entries, chain intact")
    assert second == "0 not yet chained"
    assert comms(service.folder, "audit", "verify", "--head", third.removeprefix("head ")).returncode == 0
    refused = comms(service.folder, "audit", "verify", "--head", "00")
    assert (refused.returncode, refused.stdout[:7]) == (1, "broken:")


def _proved(service: Service) -> list[str]:
    lines = printed(comms(service.folder, "audit", "verify")).splitlines()
    return lines if lines[1].startswith("0 ") else []


def test_an_export_is_proved_without_a_database_and_a_changed_one_is_not(
    service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.ndjson"
    assert printed(comms(service.folder, "audit", "export", str(file))) == ""
    assert printed(comms(service.folder, "audit", "export", "-")).startswith('{"columns":["n","bucket","at",')
    assert "can't be written" in sentence(comms(service.folder, "audit", "export", str(file)))
    assert "entries, chain intact\n" in printed(comms(tmp_path, "audit", "verify", file.name))
    file.write_text(file.read_text().replace("provider_put", "provider_cut", 1))
    told = comms(tmp_path, "audit", "verify", file.name)
    assert told.returncode == 1
    assert re.fullmatch(r"broken: entry 2 was changed, in link [12]\n", told.stdout)
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.ndjson"]
