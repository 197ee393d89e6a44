"""Connections to PostgreSQL, each in the role that its work needs.

`engine` accepts, claims and records in batches, whatever the brand. `brand(…)` opens a
transaction that row-level security holds to one brand. Nothing below this floor commits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import msgspec

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what its driver says where the server dies in the middle of an answer
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The database can't answer now, and may later. `BAD_DATA` is one of them by birth: look for it first."""

BAD_DATA = (asyncpg.DataError, ValueError)
"""The database, or its driver on the way there, refuses a value."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0  # longer than the server's own limit: it bounds a line that has gone silent

_LIMITS = {
    "application_name": "comms",
    "statement_timeout": "8s",
    "idle_in_transaction_session_timeout": "30s",
}


ENGINE_PLANS = {"enable_seqscan": "off", "enable_bitmapscan": "off", "jit": "off"}
"""What accepts, claims and records names its rows, and takes them in an index's order.

Without this a statement that was planned while its tables were small reads all of them from then on, and a
claim of a hundred sorts all that is due. Nothing is compiled: before PostgreSQL 18 a scan that is switched
off and can't be avoided, of a table of one row, counts as the dearest of all.
"""


class Use(NamedTuple):
    """How many connections of a pool are at work, wait for some, and may still be opened."""

    pool: str
    used: int
    idle: int
    unopened: int


class Database:
    """The pools of one process: small and fixed, one a role, so that recording never starves."""

    def __init__(self, dsn: str, api: Pool, engine: Pool, owner: Pool) -> None:
        self.dsn = dsn
        self.engine = engine
        self.owner = owner
        self._api = api

    @asynccontextmanager
    async def brand(self, brand_id: str) -> AsyncIterator[Connection]:
        """A transaction that sees and changes rows of `brand_id` alone (`*`: of any)."""
        async with self._api.acquire() as connection, connection.transaction():
            await connection.execute("select set_config('comms.brand', $1, true)", brand_id)
            yield connection

    def uses(self) -> list[Use]:
        """How far each pool is used, at this moment."""
        pools = {"api": self._api, "engine": self.engine, "owner": self.owner}
        return [_use(name, pool) for name, pool in pools.items()]

    async def close(self) -> None:
        """Give all connections back."""
        for pool in (self._api, self.engine, self.owner):
            await pool.close()


def _use(name: str, pool: Pool) -> Use:
    size, idle = pool.get_size(), pool.get_idle_size()
    return Use(name, size - idle, idle, pool.get_max_size() - size)


async def connect(dsn: str) -> Database:
    """Open the pools."""
    engine = await _pool(dsn, "comms_engine", 8, ENGINE_PLANS)
    return Database(dsn, await _pool(dsn, "comms_api", 8), engine, await _pool(dsn, None, 4))


async def connect_once(dsn: str, name: str = "comms") -> Connection:
    """One connection as the owner; `name` is how the server lists it."""
    connection: Connection = await asyncpg.connect(dsn, server_settings=_LIMITS | {"application_name": name})
    return connection


async def _pool(dsn: str, role: str | None, size: int, plans: dict[str, str] | None = None) -> Pool:
    settings = _LIMITS | ({"role": role} if role else {}) | (plans or {})
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        server_settings=settings,
        init=_codecs,
        reset=_leave_as_it_is,
        timeout=_CONNECT_SECONDS,
        command_timeout=_ANSWER_SECONDS,
    )


async def _leave_as_it_is(_connection: Connection) -> None:
    """The driver would ask the server to forget settings after every use: a round trip that finds nothing.

    What we set, `comms.brand`, ends with its transaction.
    """


async def _codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode, decoder=msgspec.json.decode
    )


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
