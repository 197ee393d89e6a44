"""What most teams write first: FastAPI and SQLAlchemy before one table, and a poller that looks each second.

    python home_made.py DSN serves    # says its address; answers POST /v1/messages/schedule until its end

The rest as for every peer. It checks the shape of a request and keeps the key unique; it proves no template,
seals nothing, decides nothing.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from measuring import PAYLOAD, instants, late, run
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import JSON, DateTime, Index, String, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_LIMIT = 100


class Base(DeclarativeBase):
    """All tables: one."""


class Message(Base):
    """A message that waits, or was sent."""

    __tablename__ = "messages"
    __table_args__ = (Index("messages_due", "status", "send_at"),)

    id: Mapped[str] = mapped_column(String, primary_key=True, default=lambda: str(uuid4()))
    dedup_key: Mapped[str] = mapped_column(String, unique=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String, default="pending")
    send_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Schedule(BaseModel):
    """The body of a request."""

    channel: str
    template_key: str
    recipient: str
    brand_id: str
    person_id: str
    variables: dict[str, Any] = {}
    dedup_key: str
    scheduled_at: AwareDatetime


async def _prepared(dsn: str) -> AsyncEngine:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=32)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    return engine


async def serves(dsn: str) -> None:
    """Until the process is ended."""
    sessions = async_sessionmaker(await _prepared(dsn), expire_on_commit=False)
    app = FastAPI()

    @app.post("/v1/messages/schedule", status_code=201)
    async def schedule(body: Schedule) -> dict[str, Any]:
        async with sessions() as session:
            content = body.model_dump(mode="json", exclude={"dedup_key", "scheduled_at"})
            message = Message(dedup_key=body.dedup_key, content=content, send_at=body.scheduled_at)
            session.add(message)
            await session.commit()
            return {"id": message.id, "status": message.status, **body.model_dump()}

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).serve([listener])


async def drains(dsn: str, count: float) -> float:
    """By the poller, which goes on at once after a full batch."""
    engine = await _prepared(dsn)
    now = datetime.now(UTC)
    await _fill(engine, [now.timestamp()] * int(count))
    began = asyncio.get_running_loop().time()
    await _poll(async_sessionmaker(engine), int(count))
    return count / (asyncio.get_running_loop().time() - began)


async def lateness(dsn: str, count: float, seconds: float) -> list[float]:
    """The same poller."""
    engine = await _prepared(dsn)
    await _fill(engine, instants(int(count), seconds))
    return await _poll(async_sessionmaker(engine), int(count))


async def _fill(engine: AsyncEngine, due: list[float]) -> None:
    rows = [
        {"dedup_key": f"{n}", "content": PAYLOAD, "send_at": datetime.fromtimestamp(at, UTC)}
        for n, at in enumerate(due)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(Message), rows)


async def _poll(sessions: async_sessionmaker[AsyncSession], count: int) -> list[float]:
    noted: list[float] = []
    while len(noted) < count:
        async with sessions() as session:
            waiting = select(Message).where(Message.status == "pending", Message.send_at <= datetime.now(UTC))
            due = waiting.order_by(Message.send_at).limit(_LIMIT).with_for_update(skip_locked=True)
            found = (await session.scalars(due)).all()
            for message in found:
                noted.append(late(message.send_at.timestamp()))
                message.status, message.sent_at = "sent", datetime.now(UTC)
            await session.commit()
        if len(found) < _LIMIT and len(noted) < count:
            await asyncio.sleep(1)
    return noted


if sys.argv[2] == "serves":
    asyncio.run(serves(sys.argv[1]))
else:
    run({"drains": drains, "lateness": lateness})
