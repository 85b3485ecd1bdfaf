"""An HTTP transport under a policy, for clients of httpx and of httpx2 (on which the openai and anthropic SDKs stand).

    import httpx2
    from openai import OpenAI
    from breakerlab.policy.transport import PolicyTransport

    transport = PolicyTransport(policy, httpx2.HTTPTransport(), repeatable=lambda request: True)
    client = OpenAI(http_client=httpx2.Client(transport=transport), max_retries=0)  # its own retries off

A completion is a POST, and neither SDK sends an `Idempotency-Key`: it is sent again only if `repeatable` says so.

Neither library is imported here: what is needed of it is taken from the library that made the request.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from breakerlab.policy.breaker import CircuitOpenError
from breakerlab.policy.deadline import Ended
from breakerlab.policy.guard import Guard
from breakerlab.policy.policy import Policy
from breakerlab.policy.throttle import LocallyThrottledError

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))  # RFC 9110, 9.2.2
Finish = Callable[[Ended | None], object]


class _Hosts:
    """One guard per host, made when its first request comes."""

    def __init__(
        self, policy: Policy, inner: Any, *, repeatable: Callable[[Any], bool] | None = None, **live: Any
    ) -> None:
        policy.guard("a host", **live)  # what it does not take is told here, and not at the first request
        self.policy, self._inner, self._live = policy, inner, live
        self._repeatable = repeatable or _is_repeatable
        self.guards: dict[str, Guard] = {}

    def _guard_for(self, request: Any, hold: Callable[[Any, Finish], None], discard: Any = None) -> Guard:
        host = request.url.netloc.decode("ascii")
        guard = self.guards.get(host)
        if guard is None:
            guard = self.guards.setdefault(host, self.policy.guard(host, **self._live))
        read_again = isinstance(request.stream, _library_of(request).ByteStream)
        repeatable = read_again and self._repeatable(request)
        endpoint = f"{request.method} {request.url.path}"
        return guard._for_one(repeatable, hold, discard, endpoint=endpoint, idempotent=repeatable)


class PolicyTransport(_Hosts):
    """Sends requests through the transport `inner` under `policy`, with one breaker and one budget per host.

    repeatable: whether a request may be sent again; without it, methods that are idempotent, and any request with an
    `Idempotency-Key` header. A body that is read only once is never sent again. The other keywords are those of
    `Guard`. A fallback must give a response of the library. `guards` has the guard of each host.

    The timeout lasts until the response's headers. Its body counts too: a stream that fails half-way is a failure, one
    that its reader closes early is a success if anything had come of it, and else ignored.

    Raises CircuitOpenError and LocallyThrottledError as ConnectErrors of the library (else openai would not wrap them
    in its connection error), the library's ReadTimeout for an attempt cut short, or what `inner` raises.
    """

    def handle_request(self, request: Any) -> Any:
        """The response to `request`."""
        library, known = _library_of(request), request.extensions
        timeouts = dict(known.get("timeout", {}))
        opened: list[Any] = []
        response = None

        def close(unused: Any) -> None:
            with contextlib.suppress(ValueError):  # somebody else closes it
                opened.remove(unused)
                unused.close()

        def send() -> Any:
            for failed in list(opened):
                close(failed)
            # so that abandoned work ends; of its own, since abandoned work would reach into the next attempt
            own = request.extensions = {**known, "timeout": _at_most(timeouts, self.policy.timeout)}
            try:
                opened.append(self._inner.handle_request(request))
            finally:
                own["timeout"] = timeouts
            return opened[-1]

        def hold(response: Any, finish: Finish) -> None:
            response.stream = _as_stream(library.SyncByteStream, _Watch)(response, finish)

        try:
            response = self._guard_for(request, hold, discard=close).call(send)
            return response
        except (CircuitOpenError, LocallyThrottledError) as refusal:
            raise _refusal(library, refusal, request) from None
        except TimeoutError as error:
            raise library.ReadTimeout(str(error), request=request) from error
        finally:
            for unused in list(opened):
                if unused is not response:
                    close(unused)

    def close(self) -> None:
        """Close `inner`."""
        self._inner.close()

    def __enter__(self) -> PolicyTransport:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._inner.__exit__(*error)


class AsyncPolicyTransport(_Hosts):
    """`PolicyTransport` for asynchronous clients."""

    async def handle_async_request(self, request: Any) -> Any:
        """The response to `request`."""
        library = _library_of(request)
        opened: list[Any] = []
        response = None

        async def send() -> Any:
            while opened:
                await opened.pop().aclose()
            opened.append(await self._inner.handle_async_request(request))
            return opened[-1]

        def hold(response: Any, finish: Finish) -> None:
            response.stream = _as_stream(library.AsyncByteStream, _AsyncWatch)(response, finish)

        try:
            response = await self._guard_for(request, hold).call_async(send)
            return response
        except (CircuitOpenError, LocallyThrottledError) as refusal:
            raise _refusal(library, refusal, request) from None
        except TimeoutError as error:
            raise library.ReadTimeout(str(error), request=request) from error
        finally:
            for unused in opened:
                if unused is not response:
                    await unused.aclose()

    async def aclose(self) -> None:
        """Close `inner`."""
        await self._inner.aclose()

    async def __aenter__(self) -> AsyncPolicyTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._inner.__aexit__(*error)


class _Watch:
    """The body of a response: when it ends, however it ends, the attempt is over."""

    def __init__(self, response: Any, finish: Finish) -> None:
        self._inner, self._finish = response.stream, finish
        self._whole, self._came, self._over = Ended(response), False, False

    def _end(self, ended: Ended | None) -> None:
        if not self._over:
            self._over = True
            self._finish(ended)

    def _left(self) -> None:
        self._end(self._whole if self._came else None)

    def _broke(self, error: BaseException, had: bool) -> None:
        """had: the stream was read before, and by now is only emptied, as openai does after [DONE]."""
        if had or isinstance(error, GeneratorExit):
            self._left()
        else:
            self._end(Ended(error=error))

    def __iter__(self) -> Iterator[bytes]:
        had = self._came
        try:
            for chunk in self._inner:
                self._came = True
                yield chunk
        except BaseException as error:
            self._broke(error, had)
            raise
        self._end(self._whole)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._left()


class _AsyncWatch(_Watch):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        had = self._came
        try:
            async for chunk in self._inner:
                self._came = True
                yield chunk
        except BaseException as error:
            self._broke(error, had)
            raise
        self._end(self._whole)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._left()


@functools.cache
def _as_stream(base: Any, watch: type[_Watch]) -> type[_Watch]:
    """`watch` as what the library takes for a stream."""
    return type("WatchedStream", (watch, base), {})


def _library_of(request: Any) -> Any:
    """httpx or httpx2, also for a request of a class derived from theirs."""
    modules = (sys.modules[kind.__module__.partition(".")[0]] for kind in type(request).__mro__)
    return next(module for module in modules if hasattr(module, "SyncByteStream"))


@functools.cache
def _refused_by(library: Any, kind: type[Exception]) -> Any:
    plain = {"__reduce__": lambda refusal: (kind, refusal.args)}  # another process has no such class
    return type(kind.__name__, (kind, library.ConnectError), plain)


def _refusal(library: Any, refusal: Exception, request: Any) -> Exception:
    kind = CircuitOpenError if isinstance(refusal, CircuitOpenError) else LocallyThrottledError
    error: Exception = _refused_by(library, kind)(str(refusal), request=request)
    error.args = refusal.args  # which say the rest
    return error


def _is_repeatable(request: Any) -> bool:
    return request.method in _IDEMPOTENT or "idempotency-key" in request.headers


def _at_most(timeouts: dict[str, float | None], seconds: float) -> dict[str, float]:
    """The timeouts of one request by operation, none of them longer than `seconds`."""
    known = {name: seconds if limit is None else min(limit, seconds) for name, limit in timeouts.items()}
    return {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds, **known}
