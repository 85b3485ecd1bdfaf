"""The transports, inside the real SDKs and plain clients, against a server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

from breakerlab.policy import (
    Backoff,
    Breaker,
    BreakerEvent,
    CircuitBreaker,
    CircuitOpenError,
    Fallback,
    LocallyThrottledError,
    Policy,
    Retry,
    State,
    Throttle,
)
from breakerlab.policy.transport import AsyncPolicyTransport, PolicyTransport
from breakerlab.trace import Recorder, read_trace

API_KEY, PROMPT = "sk-of-nobody", "what nobody else may read"
PIECES = ("one", "two", "three")
LONG = 30.0  # s: what nobody waits for
SOON = 10.0  # s: well below LONG, well above what a busy machine needs
SHORT = 0.2  # s: a timeout that is waited for
AMPLE = 1.0  # s: one that a loopback server does not need
CUT, DONE = object(), object()  # in a stream: the connection breaks here; the end of it is announced
HELD = threading.Event()  # never set


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


# ---- the server


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """How to answer. after: nothing is sent until it is set; entries of a stream that are events are waited for."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: threading.Event | None = None
    stream: tuple[Any, ...] | None = None
    lost: bool = False  # the connection breaks instead


class ScriptedServer:
    """Gives the replies in turn, the last of them for ever."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies or (Reply(),))
        self.asked: list[Asked] = []
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"

    def now(self, *replies: Reply) -> None:
        """From here on other replies."""
        with self._lock:
            self._replies = list(replies)

    def __enter__(self) -> ScriptedServer:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
        self._http.shutdown()
        self._thread.join()
        with self._lock:
            sockets = list(self._sockets)
        for connection in sockets:
            _break(connection)
        self._http.server_close()  # joins the connections' threads

    def release(self) -> None:
        """Wait for nothing any more."""
        self._released.set()

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(0.01) and not self._released.is_set():
            pass

    def _take(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server._sockets.add(self.connection)

            def finish(self) -> None:
                with server._lock:
                    server._sockets.discard(self.connection)
                super().finish()

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, b"".join(self._body(headers)))
                reply = server._take(asked)
                if reply.after is not None:
                    server._wait(reply.after)
                if reply.lost:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.stream is None:
                    self._whole(_body(asked, reply.status))
                else:
                    self._in_pieces(asked, reply.stream)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815

            def _body(self, headers: dict[str, str]) -> Iterator[bytes]:
                if "chunked" in headers.get("transfer-encoding", ""):
                    while size := int(self.rfile.readline(), 16):
                        yield self.rfile.read(size + 2)[:-2]
                    self.rfile.readline()
                else:
                    yield self.rfile.read(int(headers.get("content-length", 0)))

            def _whole(self, body: bytes) -> None:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def _in_pieces(self, asked: Asked, stream: tuple[Any, ...]) -> None:
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                for entry in stream:
                    if entry is CUT:
                        self.close_connection = True
                        return
                    if entry is DONE:
                        self._chunk(_last(asked))
                    elif isinstance(entry, threading.Event):
                        server._wait(entry)
                    else:
                        self._chunk(_event(asked, entry))
                self._chunk(_last(asked))
                self._chunk(b"")

            def _chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

        return Handler


class _Http(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def server_bind(self) -> None:  # HTTPServer would ask for the machine's name
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the other side has gone


def _break(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _body(asked: Asked, status: int) -> bytes:
    if status != 200:
        return (
            json.dumps({"type": "error", "error": {"type": "some_error", "message": "as told"}}).encode() + b" " * 9999
        )
    if "/messages" in asked.target:
        return json.dumps(_message([{"type": "text", "text": "".join(PIECES)}])).encode()
    message = {"role": "assistant", "content": "".join(PIECES)}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({**_completion("chat.completion"), "choices": [choice]}).encode()


def _event(asked: Asked, piece: str) -> bytes:
    if "/messages" in asked.target:
        delta = {"type": "text_delta", "text": piece}
        return _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    choice = {"index": 0, "finish_reason": None, "delta": {"content": piece}}
    return _sse({**_completion("chat.completion.chunk"), "choices": [choice]})


def _last(asked: Asked) -> bytes:
    if "/messages" in asked.target:
        return _sse({"type": "message_stop"}, "message_stop")
    return b"data: [DONE]\n\n"


def _sse(data: dict[str, Any], name: str | None = None) -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def _completion(kind: str) -> dict[str, Any]:
    return {"id": "c1", "object": kind, "created": 1, "model": "m"}


def _message(content: list[Any]) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 3}
    about = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    return {**about, "stop_sequence": None, "content": content, "usage": usage}


# ---- callers: one completion, or one stream, in each library's own words


class Caller:
    """One client under one policy. What an SDK says when a call fails: `unreachable`, `too_late`, `refused_status`."""

    library: Any = httpx2
    path = ""
    unreachable: type[Exception]
    too_late: type[Exception]
    refused_status: type[Exception]

    def __init__(self, url: str, policy: Policy, *, limits: Any = None, timeout: Any = LONG, **live: Any) -> None:
        self.url, self.host = url, url.removeprefix("http://")
        self.inner = self.make_inner(self.library.Limits(**limits or {}))
        self.transport = self.make_transport(policy, self.inner, live)
        self.timeout = timeout
        self.open()

    def make_inner(self, limits: Any) -> Any:
        return self.library.HTTPTransport(verify=False, limits=limits)  # certificates take 0.1 s to load

    def make_transport(self, policy: Policy, inner: Any, live: Any) -> Any:
        return PolicyTransport(policy, inner, **live)

    def open(self) -> None:
        self.http = self.library.Client(transport=self.transport, timeout=self.timeout)

    def close(self) -> None:
        self.http.close()

    @property
    def breaker(self) -> CircuitBreaker:
        breaker = self.transport.guards[self.host].breaker
        assert breaker is not None
        return breaker

    @property
    def busy(self) -> list[Any]:
        """Connections on which something is still under way, and requests that wait for one."""
        pool = self.inner._pool
        return [connection for connection in pool.connections if not connection.is_idle()] + list(pool._requests)

    def complete(self, key: str | None = None) -> str:
        raise NotImplementedError

    def stream(self, key: str | None = None, *, take: int = 99, each: Callable[[], object] | None = None) -> list[str]:
        raise NotImplementedError

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` gives, a call of this caller or of its client."""
        return call()


class Async(Caller):
    def make_inner(self, limits: Any) -> Any:
        return self.library.AsyncHTTPTransport(verify=False, limits=limits)

    def make_transport(self, policy: Policy, inner: Any, live: Any) -> Any:
        return AsyncPolicyTransport(policy, inner, **live)

    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.http = self.library.AsyncClient(transport=self.transport, timeout=self.timeout)

    def close(self) -> None:
        self.runner.run(self.http.aclose())
        self.runner.close()

    def run(self, call: Callable[[], Any]) -> Any:
        async def called() -> Any:
            return await call()

        return self.runner.run(called())

    def complete(self, key: str | None = None) -> str:
        return self.runner.run(self.completed(key))

    def stream(self, key: str | None = None, *, take: int = 99, each: Callable[[], object] | None = None) -> list[str]:
        return self.runner.run(self.streamed(key, take, each))

    async def completed(self, key: str | None = None) -> str:
        raise NotImplementedError

    async def streamed(self, key: str | None, take: int, each: Callable[[], object] | None) -> list[str]:
        raise NotImplementedError


def keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
MESSAGES: dict[str, Any] = {**CHAT, "max_tokens": 9}


class OpenAICaller(Caller):
    path = "/v1/chat/completions"
    unreachable, too_late = openai.APIConnectionError, openai.APITimeoutError
    refused_status = openai.APIStatusError

    def open(self) -> None:
        super().open()
        options: dict[str, Any] = {"api_key": API_KEY, "base_url": f"{self.url}/v1", "max_retries": 0}
        self.sdk = openai.OpenAI(http_client=self.http, timeout=self.timeout, **options)

    def complete(self, key: str | None = None) -> str:
        answer = self.sdk.chat.completions.create(**CHAT, extra_headers=keyed(key))
        return str(answer.choices[0].message.content)

    def stream(self, key: str | None = None, *, take: int = 99, each: Callable[[], object] | None = None) -> list[str]:
        with self.sdk.chat.completions.create(**CHAT, stream=True, extra_headers=keyed(key)) as stream:
            return taken((chunk.choices[0].delta.content for chunk in stream), take, each)


class OpenAIAsync(Async):
    path = "/v1/chat/completions"
    unreachable, too_late = openai.APIConnectionError, openai.APITimeoutError
    refused_status = openai.APIStatusError

    def open(self) -> None:
        super().open()
        options: dict[str, Any] = {"api_key": API_KEY, "base_url": f"{self.url}/v1", "max_retries": 0}
        self.sdk = openai.AsyncOpenAI(http_client=self.http, timeout=self.timeout, **options)

    async def completed(self, key: str | None = None) -> str:
        answer = await self.sdk.chat.completions.create(**CHAT, extra_headers=keyed(key))
        return str(answer.choices[0].message.content)

    async def streamed(self, key: str | None, take: int, each: Callable[[], object] | None) -> list[str]:
        async with await self.sdk.chat.completions.create(**CHAT, stream=True, extra_headers=keyed(key)) as stream:
            return await taken_async((chunk.choices[0].delta.content async for chunk in stream), take, each)


class AnthropicCaller(Caller):
    path = "/v1/messages"
    unreachable, too_late = anthropic.APIConnectionError, anthropic.APITimeoutError
    refused_status = anthropic.APIStatusError

    def open(self) -> None:
        super().open()
        options: dict[str, Any] = {"api_key": API_KEY, "base_url": self.url, "max_retries": 0}
        self.sdk = anthropic.Anthropic(http_client=self.http, timeout=self.timeout, **options)

    def complete(self, key: str | None = None) -> str:
        return str(self.sdk.messages.create(**MESSAGES, extra_headers=keyed(key)).content[0].text)

    def stream(self, key: str | None = None, *, take: int = 99, each: Callable[[], object] | None = None) -> list[str]:
        with self.sdk.messages.create(**MESSAGES, stream=True, extra_headers=keyed(key)) as stream:
            deltas = (event.delta.text for event in stream if event.type == "content_block_delta")
            return taken(deltas, take, each)


class AnthropicAsync(Async):
    path = "/v1/messages"
    unreachable, too_late = anthropic.APIConnectionError, anthropic.APITimeoutError
    refused_status = anthropic.APIStatusError

    def open(self) -> None:
        super().open()
        options: dict[str, Any] = {"api_key": API_KEY, "base_url": self.url, "max_retries": 0}
        self.sdk = anthropic.AsyncAnthropic(http_client=self.http, timeout=self.timeout, **options)

    async def completed(self, key: str | None = None) -> str:
        return str((await self.sdk.messages.create(**MESSAGES, extra_headers=keyed(key))).content[0].text)

    async def streamed(self, key: str | None, take: int, each: Callable[[], object] | None) -> list[str]:
        async with await self.sdk.messages.create(**MESSAGES, stream=True, extra_headers=keyed(key)) as stream:
            deltas = (event.delta.text async for event in stream if event.type == "content_block_delta")
            return await taken_async(deltas, take, each)


class PlainCaller(Caller):
    library = httpx
    path = "/plain"
    unreachable, too_late, refused_status = httpx.ConnectError, httpx.ReadTimeout, httpx.HTTPStatusError

    def complete(self, key: str | None = None) -> str:
        url = f"{self.url}{self.path}?api-key={API_KEY}"
        return str(self.http.post(url, json=CHAT, headers=keyed(key)).raise_for_status().text)

    def stream(self, key: str | None = None, *, take: int = 99, each: Callable[[], object] | None = None) -> list[str]:
        with self.http.stream("POST", f"{self.url}{self.path}", json=CHAT, headers=keyed(key)) as response:
            return taken(response.raise_for_status().iter_text(), take, each)


class PlainAsync(Async):
    library = httpx
    path = "/plain"
    unreachable, too_late, refused_status = httpx.ConnectError, httpx.ReadTimeout, httpx.HTTPStatusError

    async def completed(self, key: str | None = None) -> str:
        url = f"{self.url}{self.path}?api-key={API_KEY}"
        return str((await self.http.post(url, json=CHAT, headers=keyed(key))).raise_for_status().text)

    async def streamed(self, key: str | None, take: int, each: Callable[[], object] | None) -> list[str]:
        async with self.http.stream("POST", f"{self.url}{self.path}", json=CHAT, headers=keyed(key)) as response:
            return await taken_async(response.raise_for_status().aiter_text(), take, each)


def taken(pieces: Iterator[Any], take: int, each: Callable[[], object] | None) -> list[str]:
    found: list[str] = []
    for piece in pieces:
        found.append(piece)
        if each is not None:
            each()
        if len(found) == take:
            break
    return found


async def taken_async(pieces: Any, take: int, each: Callable[[], object] | None) -> list[str]:
    found: list[str] = []
    async for piece in pieces:
        found.append(piece)
        if each is not None:
            each()
        if len(found) == take:
            break
    return found


CALLERS = [OpenAICaller, OpenAIAsync, AnthropicCaller, AnthropicAsync, PlainCaller, PlainAsync]
SDKS = CALLERS[:4]
Make = Callable[..., Any]


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    with contextlib.ExitStack() as stack:
        yield lambda *replies: stack.enter_context(ScriptedServer(*replies))


@pytest.fixture(params=CALLERS, ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest, serve: object) -> Iterator[Make]:
    """Makes callers of each kind; they are closed before the servers that `serve` made."""
    with contextlib.ExitStack() as stack:

        def made(server: ScriptedServer, policy: Policy, **live: Any) -> Any:
            return stack.enter_context(contextlib.closing(request.param(server.url, policy, **live)))

        yield made


STEADY = Backoff(base=1.0, factor=1.0, cap=1.0, jitter="none")
RETRY = Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=STEADY, retry_after_limit=60.0)
TWO_OPEN = Breaker(failure_threshold=2, recovery_timeout=30.0)
BAD, GOOD = Reply(503), Reply()


def fails(caller: Any, call: Callable[[], Any], kind: type[BaseException] | None = None) -> BaseException:
    """The error of `call`, which must fail."""
    with pytest.raises(kind or caller.refused_status) as raised:
        call()
    return raised.value


def refusal(error: BaseException) -> CircuitOpenError:
    """The refusal that an SDK's error was raised from, or that a plain client raised."""
    found = error if isinstance(error, CircuitOpenError) else error.__cause__
    assert isinstance(found, CircuitOpenError)
    return found


def until(true: Callable[[], bool]) -> None:
    """Wait for other threads."""
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


# ---- retries


def test_a_write_with_a_key_is_retried_under_the_same_key(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD, BAD, GOOD)
    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep, limits={"max_connections": 1})
    assert "onetwothree" in caller.complete(key="order-17")
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["order-17"] * 3
    assert len({asked.body for asked in server.asked}) == 1 and PROMPT.encode() in server.asked[0].body
    assert clock.slept == [1.0, 1.0]
    assert caller.busy == []


def test_a_write_without_a_key_is_sent_once(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD, GOOD)
    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep)
    assert fails(caller, caller.complete).response.status_code == 503  # type: ignore[attr-defined]
    assert len(server.asked) == 1 and "idempotency-key" not in server.asked[0].headers
    assert caller.busy == []


def test_the_user_says_what_is_repeatable(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD, BAD, Reply(stream=PIECES))
    told: list[str] = []

    def repeatable(request: Any) -> bool:
        told.append(request.method)
        return True

    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep, repeatable=repeatable)
    assert caller.stream()
    assert len(server.asked) == 3 and told == ["POST"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_idempotent_methods_need_no_key(make: Make, serve: Any, method: str) -> None:
    clock, server = Clock(), serve(BAD, GOOD)
    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep)
    answer = caller.run(lambda: caller.http.request(method, f"{server.url}/thing"))
    assert answer.status_code == (503 if method == "PATCH" else 200)


def test_a_body_that_is_read_only_once_is_sent_only_once(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD, GOOD)
    live: dict[str, Any] = {"clock": clock, "sleep": clock.sleep, "repeatable": lambda request: True}
    caller = make(server, Policy(retry=RETRY), **live)

    def body() -> Iterator[bytes]:
        yield from (b"read ", b"once")

    async def body_async() -> Any:
        for part in body():
            yield part

    content = body_async() if isinstance(caller, Async) else body()
    answer = caller.run(lambda: caller.http.put(f"{server.url}/thing", content=content))
    assert answer.status_code == 503 and [asked.body for asked in server.asked] == [b"read once"]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_wrong_request_neither_counts_nor_is_retried(make: Make, serve: Any, status: int) -> None:
    clock, server = Clock(), serve(Reply(status))
    policy = Policy(retry=RETRY, breaker=Breaker(failure_threshold=1))
    caller = make(server, policy, clock=clock, sleep=clock.sleep)
    assert fails(caller, lambda: caller.complete("k")).response.status_code == status  # type: ignore[attr-defined]
    snapshot = caller.breaker.snapshot()
    assert (snapshot.ignored, snapshot.failed, snapshot.succeeded) == (1, 0, 0)
    assert len(server.asked) == 1 and clock.slept == [] and caller.busy == []


RETRY_AFTER = [
    ({"Retry-After": "7"}, 7.0),
    ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
    ({"Date": "Tue, 24 Nov 2026 10:00:00 GMT", "Retry-After": "Tue, 24 Nov 2026 10:00:20 GMT"}, 20.0),
    ({"Retry-After": "61"}, None),
]


@pytest.mark.parametrize("headers, wait", RETRY_AFTER)
def test_retry_after_is_obeyed_up_to_the_limit(make: Make, serve: Any, headers: Any, wait: float | None) -> None:
    clock, server = Clock(), serve(Reply(429, headers), GOOD)
    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep)
    if wait is None:
        assert fails(caller, lambda: caller.complete("k")).response.status_code == 429  # type: ignore[attr-defined]
    else:
        assert caller.complete("k")
    assert clock.slept == ([] if wait is None else [wait + STEADY.base])
    assert len(server.asked) == (1 if wait is None else 2)


def test_a_lost_connection_is_retried_too(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(Reply(stream=None, lost=True), GOOD)
    caller = make(server, Policy(retry=RETRY), clock=clock, sleep=clock.sleep)
    assert caller.complete("k") and len(server.asked) == 2


# ---- the circuit


def test_each_host_has_a_circuit_of_its_own(make: Make, serve: Any) -> None:
    clock, sick, sound = Clock(), serve(BAD), serve(GOOD)
    caller = make(sick, Policy(breaker=TWO_OPEN), clock=clock)
    for _ in range(2):
        fails(caller, caller.complete)
    refused = refusal(fails(caller, caller.complete, caller.unreachable))
    assert (refused.name, refused.state, refused.retry_in) == (sick.host, State.OPEN, 30.0)
    assert caller.run(lambda: caller.http.get(f"{sound.url}/thing")).status_code == 200
    assert {host: guard.breaker.state for host, guard in caller.transport.guards.items()} == {
        sick.host: State.OPEN,
        sound.host: State.CLOSED,
    }
    assert len(sick.asked) == 2 and len(sound.asked) == 1

    sick.now(GOOD)
    clock.now = 30.0
    assert caller.complete() and len(sick.asked) == 3
    assert caller.breaker.state is State.CLOSED


def test_a_plain_client_gets_the_refusal_as_an_error_of_its_own_library(serve: Any) -> None:
    server = serve(BAD)
    for library in (httpx, httpx2):
        transport = PolicyTransport(Policy(breaker=Breaker(failure_threshold=1)), library.HTTPTransport())
        with library.Client(transport=transport) as client:
            assert client.get(server.url).status_code == 503
            with pytest.raises(CircuitOpenError, match="is open: the next probe is due in") as raised:
                client.get(server.url)
            assert isinstance(raised.value, library.ConnectError)
            assert raised.value.request.url == server.url
            travelled = pickle.loads(pickle.dumps(raised.value))
            assert type(travelled) is CircuitOpenError and travelled.args == raised.value.args


def test_a_keyword_that_no_guard_takes_is_told_when_the_transport_is_made() -> None:
    breaker = CircuitBreaker()
    with pytest.raises(ValueError, match="hand the listeners to the CircuitBreaker"):
        PolicyTransport(Policy(), httpx.HTTPTransport(), breaker=breaker, listeners=[print])
    with pytest.raises(TypeError, match="listener"):
        PolicyTransport(Policy(), httpx.HTTPTransport(), listener=print)


def test_a_plain_client_gets_the_throttles_refusal_as_an_error_of_its_own_library(serve: Any) -> None:
    server = serve(BAD)
    for library in (httpx, httpx2):
        policy = Policy(throttle=Throttle())
        transport = PolicyTransport(policy, library.HTTPTransport(), random=lambda: 0.0)
        with library.Client(transport=transport) as client:
            assert client.get(server.url).status_code == 503
            with pytest.raises(LocallyThrottledError, match="the service accepts too few") as raised:
                client.get(server.url)
            assert isinstance(raised.value, library.ConnectError)
            travelled = pickle.loads(pickle.dumps(raised.value))
            assert type(travelled) is LocallyThrottledError and travelled.args == raised.value.args


def test_a_failed_probe_opens_the_circuit_again(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD)
    caller = make(server, Policy(breaker=TWO_OPEN), clock=clock)
    for _ in range(2):
        fails(caller, caller.complete)
    clock.now = 30.0
    fails(caller, caller.complete)
    refusal(fails(caller, caller.complete, caller.unreachable))
    assert len(server.asked) == 3 and caller.breaker.snapshot().retry_in == 30.0


def test_of_many_calls_at_once_one_is_the_probe(make: Make, serve: Any) -> None:
    clock, others_refused, refused = Clock(), threading.Event(), list[BreakerEvent]()

    def listener(event: BreakerEvent) -> None:
        refused.extend([event] * (event.kind == "rejection"))
        if len(refused) == 7:
            others_refused.set()

    server = serve(BAD, Reply(after=others_refused))
    policy = Policy(breaker=Breaker(failure_threshold=1, recovery_timeout=30.0))
    caller = make(server, policy, clock=clock, listeners=[listener])
    fails(caller, caller.complete)
    clock.now = 30.0
    if isinstance(caller, Async):
        calls = [caller.completed() for _ in range(8)]
        answers = caller.run(lambda: asyncio.gather(*calls, return_exceptions=True))
    else:
        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(caller.complete) for _ in range(8)]
        answers = [future.exception() or future.result() for future in futures]
    assert len(server.asked) == 2 and sum(isinstance(answer, str) for answer in answers) == 1
    assert {refusal(answer).state for answer in answers if not isinstance(answer, str)} == {State.HALF_OPEN}
    assert caller.breaker.state is State.CLOSED


# ---- nothing leaks


def test_the_refusal_of_a_retry_leaves_no_connection_behind(make: Make, serve: Any) -> None:
    server = serve(BAD)
    caller: Any = make(server, Policy(retry=RETRY, breaker=TWO_OPEN), sleep=lambda seconds: caller.breaker.force_open())
    refusal(fails(caller, lambda: caller.complete("k"), caller.unreachable))
    assert len(server.asked) == 1 and caller.busy == []


def test_an_answer_in_place_of_a_failed_one_leaves_no_connection_behind(make: Make, serve: Any) -> None:
    server = serve(BAD)
    caller = make(server, Policy(fallback=Fallback(cached=lambda cause: caller.library.Response(200, text="cached"))))
    assert caller.run(lambda: caller.http.get(server.url)).text == "cached"
    assert len(server.asked) == 1 and caller.busy == []


def test_an_interruption_of_the_wait_leaves_no_connection_behind(make: Make, serve: Any) -> None:
    server = serve(BAD)

    def interrupted(seconds: float) -> None:
        raise (asyncio.CancelledError if isinstance(caller, Async) else KeyboardInterrupt)

    caller = make(server, Policy(retry=RETRY), sleep=interrupted)
    with pytest.raises((asyncio.CancelledError, KeyboardInterrupt)):
        caller.complete("k")
    assert len(server.asked) == 1 and caller.busy == []


def test_closing_is_handed_on(make: Make, serve: Any) -> None:
    caller = make(serve(), Policy())
    caller.complete()
    assert len(caller.inner._pool.connections) == 1
    caller.run(caller.http.aclose if isinstance(caller, Async) else caller.http.close)
    assert caller.inner._pool.connections == []


def test_a_with_block_is_handed_on() -> None:
    told: list[str] = []

    class Inner:
        def __enter__(self) -> None:
            told.append("entered")

        def __exit__(self, *error: object) -> None:
            told.append(f"left with {error[0].__name__ if isinstance(error[0], type) else None}")

        async def __aenter__(self) -> None:
            self.__enter__()

        async def __aexit__(self, *error: object) -> None:
            self.__exit__(*error)

    async def in_async() -> None:
        async with AsyncPolicyTransport(Policy(), Inner()) as transport:
            assert isinstance(transport, AsyncPolicyTransport)
            raise KeyError

    with pytest.raises(KeyError), PolicyTransport(Policy(), Inner()) as transport:
        assert isinstance(transport, PolicyTransport)
        raise KeyError
    with pytest.raises(KeyError):
        asyncio.run(in_async())
    assert told == ["entered", "left with KeyError"] * 2


# ---- time


def test_an_attempt_is_cut_short_and_the_pool_recovers(make: Make, serve: Any) -> None:
    """Twice as many abandoned attempts as the pool has connections."""
    server = serve(Reply(after=HELD))
    policy = Policy(timeout=SHORT, breaker=Breaker(failure_threshold=99))
    caller = make(server, policy, limits={"max_connections": 2})
    began = time.monotonic()
    for _ in range(4):
        fails(caller, caller.complete, caller.too_late)
    assert time.monotonic() - began < SOON
    assert caller.breaker.snapshot().failed == 4
    until(lambda: caller.busy == [])  # the client's own timeout is LONG
    server.now(GOOD)

    def works() -> bool:
        with contextlib.suppress(caller.too_late):  # on a busy machine
            return bool(caller.complete())
        return False

    until(works)


def test_a_timeout_of_the_client_that_is_shorter_stays(make: Make, serve: Any) -> None:
    server = serve(Reply(after=HELD))
    caller = make(server, Policy(timeout=LONG, breaker=TWO_OPEN), timeout=SHORT)
    began = time.monotonic()
    fails(caller, caller.complete, caller.too_late)
    assert time.monotonic() - began < SOON
    assert caller.breaker.snapshot().failed == 1


def test_a_late_response_is_closed(serve: Any) -> None:
    held, late = threading.Event(), list[Any]()

    class Slow(httpx2.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            late.append(super().handle_request(request))
            held.wait(LONG)
            return late[0]

    inner = Slow()
    with httpx2.Client(transport=PolicyTransport(Policy(timeout=AMPLE), inner)) as client:
        with pytest.raises(httpx2.ReadTimeout, match="no answer within 1 s"):
            client.get(serve().url)
        assert not late[0].is_closed
        held.set()
        until(lambda: bool(late[0].is_closed))
        until(lambda: all(connection.is_closed() or connection.is_idle() for connection in inner._pool.connections))


def test_a_late_attempt_does_not_disturb_the_next() -> None:
    """An attempt has its timeouts to itself, whatever an abandoned one still does."""
    second_began, found = threading.Event(), list[float]()

    class Inner:
        def handle_request(self, request: Any) -> Any:
            extensions = request.extensions  # as the real one does, which looks into it when it waits
            if "first" not in threads:
                threads["first"] = threading.current_thread()
                second_began.wait(LONG)
            else:
                second_began.set()
                threads["first"].join(LONG)
                found.append(extensions["timeout"]["read"])
            return httpx2.Response(200)

    threads: dict[str, threading.Thread] = {}
    retry = Retry(attempts=2, total_time=None, final_reserve=0.0, backoff=STEADY)
    transport = PolicyTransport(Policy(timeout=SHORT, retry=retry), Inner(), sleep=lambda seconds: None)
    with contextlib.suppress(httpx2.ReadTimeout):  # on a busy machine
        transport.handle_request(httpx2.Request("GET", "http://x", extensions={"timeout": {"read": LONG}}))
    until(lambda: found != [])
    assert found == [SHORT]


# ---- streams


def test_a_stream_is_a_success_when_it_has_ended(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(BAD, BAD, Reply(stream=PIECES))
    caller = make(server, Policy(breaker=TWO_OPEN), clock=clock)
    for _ in range(2):
        fails(caller, caller.complete)
    clock.now = 30.0
    seen: list[State] = []
    assert "one" in caller.stream(each=lambda: seen.append(caller.breaker.state))[0]
    assert set(seen) == {State.HALF_OPEN} and len(seen) >= 3
    assert caller.breaker.state is State.CLOSED
    assert caller.busy == []


def test_while_a_probe_streams_no_other_call_gets_through(make: Make, serve: Any) -> None:
    clock, more = Clock(), threading.Event()
    server = serve(BAD, Reply(stream=("one", more, "two")))
    caller = make(server, Policy(breaker=Breaker(failure_threshold=1, recovery_timeout=30.0)), clock=clock)
    fails(caller, caller.complete)
    clock.now = 30.0
    with PolicyTransport(Policy(), httpx.HTTPTransport()) as others:
        others.guards = caller.transport.guards
        refused: list[BaseException] = []

        def another_call() -> None:
            with pytest.raises(CircuitOpenError) as raised:
                others.handle_request(httpx.Request("GET", server.url))
            refused.append(raised.value)
            more.set()

        caller.stream(each=lambda: more.is_set() or another_call())
    assert len(refused) == 1 and len(server.asked) == 2
    assert caller.breaker.state is State.CLOSED


def test_a_stream_that_breaks_is_a_failure_and_is_not_retried(make: Make, serve: Any) -> None:
    clock, server = Clock(), serve(Reply(stream=("one", CUT)), GOOD)
    caller = make(server, Policy(retry=RETRY, breaker=Breaker(failure_threshold=1)), clock=clock, sleep=clock.sleep)
    kinds = (openai.APIConnectionError, httpx.RemoteProtocolError, httpx2.RemoteProtocolError)
    with pytest.raises(kinds):
        caller.stream("k")
    assert caller.breaker.state is State.OPEN and caller.breaker.snapshot().failed == 1
    assert len(server.asked) == 1 and clock.slept == [] and caller.busy == []


def test_a_reader_that_leaves_early_is_no_failure(make: Make, serve: Any) -> None:
    server = serve(Reply(stream=("one", HELD)))
    caller = make(server, Policy(breaker=Breaker(failure_threshold=1)))
    assert len(caller.stream(take=1)) == 1
    snapshot = caller.breaker.snapshot()
    assert (snapshot.succeeded, snapshot.failed, snapshot.ignored) == (1, 0, 0)
    assert caller.busy == []


def test_a_reader_that_read_nothing_is_ignored(make: Make, serve: Any) -> None:
    server = serve(Reply(stream=(HELD,)))
    caller = make(server, Policy(breaker=TWO_OPEN))
    if isinstance(caller, Async):

        async def leave() -> None:
            async with caller.http.stream("GET", server.url) as response:
                assert response.status_code == 200

        caller.run(leave)
    else:
        with caller.http.stream("GET", server.url) as response:
            assert response.status_code == 200
    snapshot = caller.breaker.snapshot()
    assert (snapshot.succeeded, snapshot.failed, snapshot.ignored) == (0, 0, 1)
    assert caller.busy == []


@pytest.mark.parametrize("kind", [OpenAICaller, AnthropicAsync, PlainCaller])
def test_between_two_pieces_of_a_stream_the_clients_timeout_counts(kind: type[Caller], serve: Any) -> None:
    more = threading.Event()
    server = serve(Reply(stream=("one", more, "two")))
    waiter = threading.Timer(1.25 * AMPLE, more.set)
    with contextlib.closing(kind(server.url, Policy(timeout=AMPLE, breaker=TWO_OPEN))) as caller:
        assert len(caller.stream(each=lambda: waiter.is_alive() or more.is_set() or waiter.start())) >= 2
        assert caller.breaker.snapshot().succeeded == 1
    waiter.join()


def test_a_stream_that_stalls_beyond_the_clients_timeout_is_a_failure(make: Make, serve: Any) -> None:
    server = serve(Reply(stream=("one", HELD)))
    caller = make(server, Policy(timeout=LONG, breaker=TWO_OPEN), timeout=SHORT)
    fails(caller, caller.stream, (openai.APITimeoutError, httpx.ReadTimeout, httpx2.ReadTimeout))
    assert caller.breaker.snapshot().failed == 1 and caller.busy == []


@pytest.mark.parametrize("kind", [OpenAIAsync, AnthropicAsync, PlainAsync])
@pytest.mark.parametrize("pieces", [None, (), ("one",)], ids=["before the headers", "before the body", "in the body"])
def test_a_cancelled_call_is_ignored(kind: type[Async], pieces: Any, serve: Any) -> None:
    """Cancelled in half-open, it neither closes nor opens, and the next probe may be made."""
    clock, held = Clock(), threading.Event()
    slow = Reply(after=held) if pieces is None else Reply(stream=(*pieces, held))
    server = serve(BAD, slow, GOOD)
    policy = Policy(breaker=Breaker(failure_threshold=1, recovery_timeout=30.0))
    with contextlib.closing(kind(server.url, policy, clock=clock)) as caller:
        fails(caller, caller.complete)
        clock.now = 30.0

        async def cancelled() -> None:
            async with asyncio.timeout(SHORT):
                await caller.streamed(None, 99, None)

        fails(caller, lambda: caller.run(cancelled), TimeoutError)
        assert caller.breaker.state is State.HALF_OPEN and caller.breaker.snapshot().ignored == 1
        assert caller.busy == []
        held.set()
        assert caller.complete() and caller.breaker.state is State.CLOSED


@pytest.mark.parametrize("end", [CUT, HELD], ids=["cut", "held"])
def test_what_happens_after_done_does_not_matter(serve: Any, end: Any) -> None:
    """After [DONE] the asynchronous SDK reads on for 0.1 s, to use the connection again."""
    for kind in (OpenAICaller, OpenAIAsync):
        server = serve(Reply(stream=(*PIECES, DONE, end)))
        with contextlib.closing(kind(server.url, Policy(breaker=TWO_OPEN))) as caller:
            assert caller.stream() == list(PIECES)
            snapshot = caller.breaker.snapshot()
            assert (snapshot.succeeded, snapshot.failed, snapshot.ignored) == (1, 0, 0), kind
            assert caller.busy == []


# ---- the record


def test_attempts_are_recorded_without_what_is_private(make: Make, serve: Any, tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "calls.jsonl"
    server = serve(Reply(429, {"Retry-After": "7"}), GOOD, Reply(stream=("one", CUT)), Reply(404))
    with Recorder(file) as recorder:
        live: dict[str, Any] = {"clock": clock, "sleep": clock.sleep, "recorder": recorder}
        caller = make(server, Policy(retry=RETRY), **live)
        caller.complete("order-17")
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError, httpx2.RemoteProtocolError)):
            caller.stream()
        fails(caller, caller.complete)
    attempts = read_trace(file).attempts
    assert attempts["outcome"].tolist() == ["throttled", "ok", "connection", "client_error"]
    assert set(attempts["endpoint"]) == {f"POST {caller.path}"} and set(attempts["service"]) == {server.host}
    assert attempts["attempt"].tolist() == [1, 2, 1, 1]
    assert attempts["request"].nunique() == 3
    assert attempts["idempotent"].tolist() == [True, True, False, False]
    assert attempts["status"].fillna(0).tolist() == [429, 200, 0, 404]
    assert attempts["retry_after"].fillna(0.0).tolist() == [7.0, 0.0, 0.0, 0.0]
    text = file.read_text(encoding="utf-8")
    assert text.count('"kind":"begin"') == text.count('"kind":"end"') == 4
    assert not [private for private in (API_KEY, PROMPT, "order-17", "api-key") if private in text]


# ---- the libraries


def test_neither_library_is_imported() -> None:
    program = (
        "import sys, breakerlab.policy.transport; print([name for name in ('httpx', 'httpx2') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"


def test_a_request_of_a_derived_class_belongs_to_its_library(serve: Any) -> None:
    class Signed(httpx2.Request):
        pass

    with PolicyTransport(Policy(), httpx2.HTTPTransport()) as transport:
        response = transport.handle_request(Signed("GET", serve().url, headers={"Host": "x"}))
        assert response.read() and response.status_code == 200
