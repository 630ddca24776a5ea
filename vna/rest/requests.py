"""Reading requests: parameters, and bodies within their budgets."""

from __future__ import annotations

import asyncio
import io
import math
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import ClientDisconnect, Request

from vna.errors import (
    BadParameter,
    BadRequest,
    Busy,
    OutOfRange,
    RangeNotSatisfiable,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)
from vna.services.archive import tag_for_keyword
from vna.services.caller import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from vna.rest.durations import Durations
    from vna.services.node import Node
    from vna.services.users import User

# Output of one inflate step: bounds what a small input can make of itself before it is counted.
INFLATE_STEP_BYTES = 1 << 20
# What a body must bring within http.body_timeout_s: who sends a byte now and then holds all that he
# sent before. The slowest modem brings this much in half a second.
LEAST_PROGRESS_BYTES = 1 << 10
# Digits of a number that fits 64 bits, whatever they are.
MAX_DIGITS = 18


class BodyBudget:
    """Bytes of request bodies in memory, all connections together (invariant 6 of the design)."""

    def __init__(self, total: int):
        self.total = total
        self.used = 0

    @contextmanager
    def account(self) -> Iterator[Account]:
        """Lend bytes to one request until it ends, and to all work that it leaves running."""
        account = Account(self)
        try:
            yield account
        finally:
            account.release()


class Account:
    """What one request holds of the budget."""

    def __init__(self, budget: BodyBudget):
        self._budget = budget
        self._users = 1
        self.held = 0

    def hold(self, count: int) -> None:
        """Take `count` bytes; raises Busy if others hold them."""
        if self._budget.used + count > self._budget.total:
            raise Busy(
                f"request bodies hold {self._budget.used} of {self._budget.total} bytes "
                "(limits.http_body_bytes); send this one again later"
            )
        self._budget.used += count
        self.held += count

    def lend(self, work: asyncio.Future[Any]) -> None:
        """Hold the bytes until `work` is done, even if the request ends before it."""
        self._users += 1
        work.add_done_callback(self.release)

    def release(self, _: object = None) -> None:
        """Give the bytes back if this was the last who used them."""
        self._users -= 1
        if not self._users:
            self._budget.used -= self.held


class Running(Protocol):
    """What a server of requests knows of all of them."""

    durations: Durations

    @property
    def active_requests(self) -> int:
        """How many are being answered."""


class Call:
    """One request on its way to a handler."""

    def __init__(self, request: Request, node: Node, budget: BodyBudget, running: Running):
        self.request = request
        self.node = node
        self.archive = node.archive
        self.budget = budget
        self.running = running

    @property
    def caller(self) -> Caller:
        """Who asks."""
        client = self.request.client
        address = client.host if client else ""
        user: User | None = self.request.scope.get("user")
        if user is None:
            return Caller(way_in="rest", address=address)
        return Caller(way_in="rest", address=address, tenant=user.tenant, user=user.name)

    @property
    def is_gone(self) -> Callable[[], bool]:
        """Tells whether the client went away without waiting for the answer, as far as is known."""
        known: Callable[[], bool] | None = self.request.scope.get("state", {}).get("is_gone")
        return known or (lambda: False)

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.request.path_params[name])

    def path_or(self, name: str, default: str) -> str:
        """Return a parameter that not every path of the route has."""
        return str(self.request.path_params.get(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a switch of the query: there, or `true`, `1`; `false` and `0` switch it off."""
        text = self.request.query_params.get(name)
        if text is None:
            return default
        if text.lower() in {"", "1", "true", "yes"}:
            return True
        if text.lower() in {"0", "false", "no"}:
            return False
        raise OutOfRange(f"parameter {name} is {text!r}; it takes true or false")

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a number of the query that is 0 or more."""
        text = self.request.query_params.get(name)
        if text is None:
            return default
        if not is_number(text):
            raise BadParameter(f"parameter {name} is {text!r}; it takes a number from 0 on")
        return int(text)

    def decimal(self, name: str) -> float | None:
        """Return a number of the query that may have a sign, a fraction and an exponent."""
        text = self.request.query_params.get(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise BadParameter(f"parameter {name} is {text[:64]!r}; it takes a number")
        return number

    def tags(self, name: str) -> tuple[int, ...]:
        """Return the tags that the query lists: by keyword or number, commas between them."""
        texts = ",".join(self.request.query_params.getlist(name))
        # A tag may be written with a comma itself.
        names = re.findall(r"[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}(?![^,])|[^,]+", texts)
        return tuple(tag_of(name, text.strip()) for text in names)

    async def body(self, account: Account, most: int | None = None) -> bytes:
        """Return the whole body, inflated if it is gzip; of `most` bytes if the route says so.

        Raises TooLarge before anything is read if the announced length says so, and as soon as the
        limit is passed if it was not announced or is another one inflated.
        """
        http = self.archive.settings.http
        limit, source = http.max_body_bytes, "http.max_body_bytes"
        if most is not None and most < limit:
            limit, source = most, "what this takes"
        check_announced_length(self.request, limit, source)
        encoding = self.request.headers.get("content-encoding", "identity").strip().lower()
        first: bytes | None = None
        # Grows in place and gives its bytes away without a copy; joined parts would be there twice.
        whole: io.BytesIO | None = None
        size = 0
        try:
            stream = paced(self.request.stream(), http.body_timeout_s)
            async for part in decoded(stream, encoding):
                size += len(part)
                if size > limit:
                    raise TooLarge(f"body is over {limit} bytes ({source})")
                account.hold(len(part))
                if first is None:
                    first = part
                    continue
                if whole is None:
                    whole = io.BytesIO()
                    whole.write(first)
                whole.write(part)
        except ClientDisconnect:
            raise BadRequest(f"the client went away after {size} bytes of the body") from None
        return first or b"" if whole is None else whole.getvalue()


Handler = Callable[[Call], Awaitable["Response"]]


def announced_length(request: Request) -> int | None:
    """Return the length that a body announces; raises TooLarge if no body has so many digits."""
    announced = request.headers.get("content-length")
    if announced is None:
        return None
    if not (announced.isascii() and announced.isdecimal()):
        raise BadRequest(f"Content-Length is {announced!r}, no number")
    if not is_number(announced):
        raise TooLarge(f"body of {announced} bytes")
    return int(announced)


def check_announced_length(
    request: Request, limit: int, source: str = "http.max_body_bytes"
) -> None:
    """Refuse a body by the length that it announces, before it is read."""
    announced = announced_length(request)
    if announced is not None and announced > limit:
        raise TooLarge(f"body of {announced} bytes is over {limit} ({source})")


async def paced(stream: AsyncIterator[bytes], timeout_s: float) -> AsyncIterator[bytes]:
    """Yield what `stream` yields; who stops or trickles must not hold his bytes for ever."""
    loop = asyncio.get_running_loop()
    chunks = aiter(stream)
    deadline, got = loop.time() + timeout_s, 0
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RequestTimeout(
                f"{got} bytes of the body came within {timeout_s:g} s (http.body_timeout_s); "
                f"it takes {LEAST_PROGRESS_BYTES}, or its end"
            ) from None
        if chunk is None:
            return
        given = loop.time()
        yield chunk
        deadline += loop.time() - given  # what we took to store it is not the sender's
        got += len(chunk)
        if got >= LEAST_PROGRESS_BYTES:
            deadline, got = loop.time() + timeout_s, 0


async def decoded(stream: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Yield a body as it was before its Content-Encoding."""
    if encoding in {"", "identity"}:
        async for chunk in stream:
            if chunk:
                yield chunk
    elif encoding in {"gzip", "x-gzip"}:
        async for part in inflated(stream):
            yield part
    else:
        raise UnsupportedMediaType(f"Content-Encoding {encoding} is not read; gzip is")


async def inflated(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a gzip stream of one or more members holds, a bounded piece at a time."""
    member = zlib.decompressobj(wbits=31)
    begun = False
    offset = 0
    async for chunk in stream:
        data = chunk
        while data:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            begun = True
            try:
                part = member.decompress(data, INFLATE_STEP_BYTES)
            except zlib.error as error:
                raise BadRequest(
                    f"body is no gzip near byte {offset} of what was sent: {error}"
                ) from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            if part:
                yield part
            # A bomb must not keep the loop from others.
            await asyncio.sleep(0)
        offset += len(chunk)
    if begun and not member.eof:
        raise BadRequest(f"gzip body ends early, after {offset} bytes")


def tag_of(parameter: str, text: str) -> int:
    """Return the tag that is written as keyword or number."""
    if re.fullmatch(r"[0-9A-Fa-f]{4}[-,]?[0-9A-Fa-f]{4}", text):
        return int(text.replace("-", "").replace(",", ""), 16)
    tag = tag_for_keyword(text)
    if tag is None:
        raise BadParameter(f"parameter {parameter} names {text[:64]!r}, which is no tag")
    return tag


def is_number(text: str) -> bool:
    """Whether `text` is decimal digits, and few enough for any size there is."""
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (first, end) of a single byte range, or None for the whole (RFC 9110 §14.2).

    Several ranges, other units and malformed ones are ignored, as the RFC allows. Raises
    RangeNotSatisfiable if the range starts beyond the end.
    """
    if header is None or not header.startswith("bytes=") or "," in header:
        return None
    first_text, dash, last_text = header.removeprefix("bytes=").strip().partition("-")
    numbers = [text for text in (first_text, last_text) if text]
    if not dash or not numbers or not all(map(is_number, numbers)):
        return None
    if not first_text:  # the last N bytes
        count = min(int(last_text), size)
        if count == 0:
            raise RangeNotSatisfiable(f"range {header} of {size} bytes is empty")
        return size - count, size
    first = int(first_text)
    end = min(int(last_text) + 1, size) if last_text else size
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(f"range {header} starts beyond the {size} bytes there are")
    return first, end
