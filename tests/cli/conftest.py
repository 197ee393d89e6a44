"""One service for all tests that leave it alive and well, and data for those that don't."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.post import Post, post_office
from tests.cli.service import Client, Prepared, Service, opened, serving


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What a service left that was set up and has ended: to start from a copy takes a third of the time."""
    with serving(tmp_path_factory.mktemp("prepared")) as service:
        client = opened(service)
        service.terminate()
        assert service.status() == 0
    return Prepared(service.data_dir, client.token)


@pytest.fixture(scope="session")
def served(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Client]]:
    """`comms serve` and a client that may do everything on its brand `loop`."""
    with prepared.serving(tmp_path_factory.mktemp("served")) as (service, client):
        yield service, client


@pytest.fixture(scope="session")
def service(served: tuple[Service, Client]) -> Service:
    """The shared service: a test that kills or confuses it starts its own."""
    return served[0]


@pytest.fixture(scope="session")
def client(served: tuple[Service, Client]) -> Client:
    """The client of the shared service."""
    return served[1]


@pytest.fixture
def post() -> Iterator[Post]:
    """A mail server that holds what it is given."""
    with post_office() as post:
        yield post
