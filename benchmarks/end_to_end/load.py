"""A block of requests to one view: how fast they are answered, and what it takes."""

from __future__ import annotations

import itertools
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .servers import cpu_of

if t.TYPE_CHECKING:
    from .servers import Served
    from .views import Visitor

_LONGEST: t.Final = 15.0  # seconds, of one block
_KEPT: t.Final = 20
"""Requests on one connection. Or one worker might have nearly all of them."""


class Block(t.NamedTuple):
    requests: int
    seconds: float
    cpu: float
    """Seconds of the workers."""
    database_cpu: float
    """The same, of MongoDB."""
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        return self.cpu / self.requests

    @property
    def database_cpu_each(self) -> float:
        return self.database_cpu / self.requests


def run_block(
    served: Served, database: int, visitors: list[Visitor], requests: int
) -> Block:
    """Each of *visitors* asks again as soon as it is answered, until there were so many
    *requests* of all.

    :param database: the process id of MongoDB.
    """
    numbers = itertools.count()
    began = time.perf_counter()

    def ask(visitor: Visitor) -> list[float]:
        latencies: list[float] = []
        browser = visitor.browser
        while next(numbers) < requests and time.perf_counter() - began < _LONGEST:
            asked = time.perf_counter()
            status, head, body = browser.send(visitor.request)
            latencies.append(time.perf_counter() - asked)
            assert status == visitor.status, (served.name, status, body)
            assert visitor.contains in head or visitor.contains in body, body
            if len(latencies) % _KEPT == 0:
                browser.close()
        browser.close()
        return latencies

    cpu, database_cpu = served.cpu(), cpu_of(database)
    with ThreadPoolExecutor(len(visitors)) as pool:
        asking = [pool.submit(ask, each) for each in visitors]
        latencies = [each for done in asking for each in done.result()]
    seconds = time.perf_counter() - began
    spent = served.cpu() - cpu, cpu_of(database) - database_cpu
    return Block(len(latencies), seconds, *spent, latencies)
