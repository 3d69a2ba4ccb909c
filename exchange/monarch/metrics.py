"""Monarch's own figures for /v1/metrics, read from its parts at each scrape; the gateway adds its requests."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.read.interface import ReadSide
from exchange.sequencer.sequencer import Sequencer
from provisioner.provisioner import Provisioner
from settlement.ledger import Settlement


class MonarchFigures(Collector):
    """One shard's sequencer and how far its consumers are."""

    def __init__(
        self, shard: int, sequencer: Sequencer, read: ReadSide, ledger: Settlement, provisioner: Provisioner
    ) -> None:
        self._shard = str(shard)
        self._sequencer = sequencer
        self._read = read
        self._ledger = ledger
        self._provisioner = provisioner

    def collect(self) -> Iterator[Metric]:
        figures = self._sequencer.figures
        yield self._gauge("hourbook_sequence", "Last durable command.", self._sequencer.seq)
        yield self._gauge("hourbook_queue_length", "Commands waiting to be sequenced.", self._sequencer.queue_length)
        yield self._gauge("hourbook_healthy", "1 while commands are taken.", int(self._sequencer.healthy))
        yield self._gauge("hourbook_largest_batch", "Most commands in one append.", figures.largest_batch)
        yield self._gauge(
            "hourbook_append_longest_seconds", "Longest append to the command log.", figures.longest_append_ns / 1e9
        )
        for name, what, value in (
            ("hourbook_commands", "Commands sequenced.", figures.commands),
            ("hourbook_ticks", "Ticks sequenced.", figures.ticks),
            ("hourbook_batches", "Appends to the command log.", figures.batches),
            ("hourbook_overloaded", "Commands that were not taken.", figures.overloaded),
            ("hourbook_snapshots", "Snapshots written.", figures.snapshots),
            ("hourbook_failed_snapshots", "Snapshots that could not be written.", figures.failed_snapshots),
            ("hourbook_append_seconds", "Time spent in appends to the command log.", figures.append_ns / 1e9),
        ):
            counter = CounterMetricFamily(name, what, labels=["shard"])
            counter.add_metric([self._shard], value)
            yield counter
        position = GaugeMetricFamily(
            "hourbook_consumer_position", "Last command taken in.", labels=["shard", "consumer"]
        )
        position.add_metric([self._shard, "read"], self._read.position())
        position.add_metric([self._shard, "settlement"], self._ledger.position())
        position.add_metric([self._shard, "provisioner"], self._provisioner.position())
        yield position
        yield self._gauge(
            "hourbook_barons_online", "Barons that aren't silent.", len(self._provisioner.barons_online())
        )

    def _gauge(self, name: str, what: str, value: float) -> Metric:
        gauge = GaugeMetricFamily(name, what, labels=["shard"])
        gauge.add_metric([self._shard], value)
        return gauge


def registry_of(figures: MonarchFigures) -> CollectorRegistry:
    """A registry with these figures, for the gateway to add its own to."""
    registry = CollectorRegistry()
    registry.register(figures)
    return registry
