"""One HTTP/2 connection, and the calls that are under way on it.

The frames are h2's; here stands what makes a doubt of a call. It begins when the request's headers are
written, and ends where the other side says that it never looked at them: a stream that is refused, or
one above the last that it names when it goes away (RFC 9113, section 8.7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

_GOAWAY = 7
_FRAME_HEAD = 9
_IDLE_SECONDS = 15.0
_PING_SECONDS = 2.0
_MOST_STREAMS = 256
_LAST_STREAM = 2**31 - 100_001  # their numbers end at 2**31 - 1: after twelve days of a thousand a second

Headers = list[tuple[str, str]]


class Response(NamedTuple):
    """What was answered. Names are spelled Like-This; a body that is too large is None."""

    status: int
    headers: dict[str, str]
    body: bytes | None


class NoHttp2(ValueError):
    """The other side speaks TLS, and no HTTP/2."""


class _Stream:
    """One call's half of a connection."""

    def __init__(self, call: SimpleNamespace) -> None:
        self.call = call
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_sent = False
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def fail(self, *, was_seen: bool) -> None:
        """No answer will come. `was_seen`: the other side may have acted on the request."""
        if not self.answer.done():
            self.call.has_connection = was_seen
            self.answer.set_exception(ConnectionResetError() if was_seen else ConnectionRefusedError())


class Connection(asyncio.Protocol):
    """To be `settled`, then for many an `exchange`. `everybody` is the set of those that stand."""

    def __init__(self, largest_answer: int, everybody: set[Connection]) -> None:
        self._largest_answer = largest_answer
        self._everybody = everybody
        self._loop = asyncio.get_running_loop()
        self._h2 = H2Connection(H2Configuration(client_side=True))
        wanted = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: largest_answer}
        self._h2.local_settings = Settings(client=True, initial_values=wanted)
        self._streams: dict[int, _Stream] = {}
        self._received = bytearray()
        self._takes_more = True
        self._is_settled = False
        self._heard_at = self._loop.time()
        self._moved = asyncio.Event()
        self._on: dict[type[events.Event], Callable[[Any], None]] = {
            events.RemoteSettingsChanged: self._on_settings,
            events.ResponseReceived: self._on_head,
            events.DataReceived: self._on_data,
            events.StreamEnded: self._on_end,
            events.StreamReset: self._on_reset,
        }

    # What the event loop calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands. That it is HTTP/2 is agreed on there (ALPN)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._everybody.add(self)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self._takes_more = False
            return
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Frame by frame, since h2 would end everything at the first sign that the peer goes away.

        https://github.com/python-hyper/h2/issues/1181; a peer that goes away answers what it has seen.
        """
        self._heard_at = self._loop.time()
        self._received += data
        while (frame := self._next_frame()) is not None:
            if frame[3] == _GOAWAY:
                self._on_goaway(int.from_bytes(frame[9:13], "big") & 0x7FFF_FFFF)
                continue
            try:
                for event in self._h2.receive_data(frame):
                    self._on.get(type(event), _ignore)(event)
            except ProtocolError:
                self.abort()
                return
        self._flush()
        self._change()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of what is under way nobody knows."""
        del exc
        self._takes_more = False
        self._everybody.discard(self)
        for stream in self._streams.values():
            stream.fail(was_seen=True)
        self._change()

    # What the pool asks -------------------------------------------------------------------------

    async def settled(self) -> None:
        """The peer's settings are there: how much it takes at once, and that it speaks the protocol."""
        if not self._takes_more:
            raise NoHttp2
        while not self._is_settled:
            if not self._takes_more:
                raise ConnectionResetError
            await self._moved.wait()

    async def is_alive(self) -> bool:
        """After a while in which nothing was heard, a ping says so."""
        if self._h2.highest_outbound_stream_id > _LAST_STREAM:
            self._retire()
        if self._takes_more and self._loop.time() - self._heard_at > _IDLE_SECONDS:
            await self._ping()
        return self._takes_more

    async def has_room(self) -> bool:
        """Wait until the peer takes another stream; False where it takes none any more."""
        while self._takes_more and self._h2.open_outbound_streams >= self._room():
            await self._moved.wait()
        return self._takes_more

    async def exchange(self, headers: Headers, body: bytes, call: SimpleNamespace) -> Response:
        """One call on a stream of its own. Nothing is awaited before its headers are written."""
        stream, stream_id = _Stream(call), self._h2.get_next_available_stream_id()
        self._streams[stream_id] = stream
        call.has_connection = True
        try:
            self._h2.send_headers(stream_id, headers)
            await self._send(stream_id, stream, body)
            return await stream.answer
        except ProtocolError:
            raise ConnectionResetError from None
        finally:
            self._leave(stream_id)

    def abort(self) -> None:
        """End it now."""
        self._takes_more = False
        self._transport.abort()

    # How it is done -----------------------------------------------------------------------------

    def _room(self) -> int:
        return min(_MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)

    async def _send(self, stream_id: int, stream: _Stream, body: bytes) -> None:
        """As the peer's window opens; an answer that comes first needs no more of the request."""
        while not stream.answer.done():
            window = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            piece, body = body[:window], body[window:]
            if piece or not body:
                self._h2.send_data(stream_id, piece, end_stream=not body)
            self._flush()
            stream.is_sent = not body
            if stream.is_sent:
                return
            await self._moved.wait()

    def _leave(self, stream_id: int) -> None:
        """Whoever waited has its answer, or has gone: then the peer is told to stop."""
        stream = self._streams.pop(stream_id)
        if not stream.is_sent or stream.answer.cancelled():
            self._reset(stream_id)
        if not self._takes_more:
            self._retire()
        self._change()

    def _retire(self) -> None:
        """No more calls; those that are under way may end."""
        self._takes_more = False
        if not self._streams:
            self._transport.close()

    def _reset(self, stream_id: int) -> None:
        try:
            self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        except ProtocolError:  # it has ended meanwhile
            return
        self._flush()

    async def _ping(self) -> None:
        asked_at = self._heard_at
        self._h2.ping(b"comms---")
        self._flush()
        try:
            async with asyncio.timeout(_PING_SECONDS):
                while self._takes_more and self._heard_at == asked_at:
                    await self._moved.wait()
        except TimeoutError:
            self.abort()

    def _next_frame(self) -> bytes | None:
        """RFC 9113, section 4.1: three bytes of length, one of type."""
        length = int.from_bytes(self._received[:3], "big")
        size = _FRAME_HEAD + min(length, self._h2.max_inbound_frame_size)  # h2 refuses what is larger
        if len(self._received) < size:
            return None
        frame, self._received = bytes(self._received[:size]), self._received[size:]
        return frame

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    def _change(self) -> None:
        """Wake whoever waits for something to move."""
        self._moved.set()
        self._moved = asyncio.Event()

    def _on_settings(self, _event: events.RemoteSettingsChanged) -> None:
        self._is_settled = True

    def _on_head(self, event: events.ResponseReceived) -> None:
        if stream := self._streams.get(event.stream_id):
            given = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            stream.status = int(given.pop(":status"))
            stream.headers = {name.title(): value for name, value in given.items()}

    def _on_data(self, event: events.DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream := self._streams.get(event.stream_id):
            stream.body += event.data
            if len(stream.body) > self._largest_answer:
                self._answer(stream, None)
                self._reset(event.stream_id)

    def _on_end(self, event: events.StreamEnded) -> None:
        if stream := self._streams.get(event.stream_id):
            self._answer(stream, bytes(stream.body))

    def _answer(self, stream: _Stream, body: bytes | None) -> None:
        if not stream.answer.done():
            stream.answer.set_result(Response(stream.status, stream.headers, body))

    def _on_reset(self, event: events.StreamReset) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.fail(was_seen=event.error_code != ErrorCodes.REFUSED_STREAM)

    def _on_goaway(self, last_stream_id: int) -> None:
        """What it has seen it may still answer; the rest it will never look at."""
        for stream_id, stream in self._streams.items():
            if stream_id > last_stream_id:
                stream.fail(was_seen=False)
        self._retire()


def _ignore(_event: events.Event) -> None:
    """Pings, windows, acknowledgements: h2 has done what they ask for."""
