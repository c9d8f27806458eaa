"""What `/metrics` tells, for Prometheus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from crossbit.serve.state import State

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set where several workers add up their figures
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counters of one service."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._registry = CollectorRegistry()
        own = self._registry
        self.requests = Counter("crossbit_requests", "Requests answered.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "crossbit_request_seconds", "From a request's head to its answer.", ["route"], registry=own, buckets=BUCKETS
        )
        self.shed = Counter("crossbit_shed", "Requests refused because too many waited.", registry=own)
        self.in_flight = Gauge(
            "crossbit_in_flight", "Requests being answered.", registry=own, multiprocess_mode="livesum"
        )
        self.items = Gauge("crossbit_items", "Items that can be found.", registry=own, multiprocess_mode="max")
        self.generation = Gauge(
            "crossbit_generation",
            "How often a new state of the run was taken over, and 1.",
            registry=own,
            multiprocess_mode="max",
        )
        ProcessCollector(registry=own)

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        if status == 429:
            self.shed.inc()

    def text(self) -> bytes:
        """All as Prometheus reads it; of all workers together, where there are several."""
        now = self._state.generations.now
        self.items.set(now.items)
        self.generation.set(now.number)
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
