"""All the bridges of a query, as the driver sees them: which log is where, and who does not answer.

Offsets are kept by log id. An address is only where a log was met last; every poll may find it elsewhere.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.errors import BridgeUnavailable, OptionError
from spark_job.source.bridge_client import BridgeClient, RetryPolicy

if TYPE_CHECKING:
    from avro_bridge.contract import Status
    from spark_job.source.options import Address, FlumeOptions


@dataclass(frozen=True)
class Place:
    """A log, what its bridge says of it, and the client to speak to that bridge."""

    client: BridgeClient
    status: Status


@dataclass(frozen=True)
class View:
    """What one poll found: logs by id, and why the other bridges did not answer."""

    logs: dict[str, Place]
    silent: dict[Address, BridgeUnavailable]

    def require_all(self) -> None:
        """Raise when a bridge did not answer.

        Raises:
            BridgeUnavailable: names every such bridge.
        """
        if self.silent:
            raise BridgeUnavailable("; ".join(str(error) for error in self.silent.values()))


class Bridges:
    """Asks all bridges at once. Connections are kept between polls; ``close`` ends them."""

    def __init__(self, options: FlumeOptions, retry: RetryPolicy | None = None) -> None:
        retry = retry or RetryPolicy(patience_s=options.bridge_timeout_s)
        self._clients = [BridgeClient(address, options.security, retry) for address in options.bridges]
        self._met: set[Address] = set()

    def poll(self, *, patient: bool) -> View:
        """Ask every bridge for its status.

        A bridge that does not answer is asked again for as long as the options allow when ``patient``, or when it has
        never answered this process: then its address may well be wrong, and nobody would notice.

        Raises:
            OptionError: two addresses show the same log.
        """
        with ThreadPoolExecutor(len(self._clients), thread_name_prefix="poll") as pool:
            answers = list(pool.map(lambda client: self._ask(client, patient=patient), self._clients))
        logs: dict[str, Place] = {}
        silent: dict[Address, BridgeUnavailable] = {}
        for client, answer in zip(self._clients, answers, strict=True):
            if isinstance(answer, BridgeUnavailable):
                silent[client.address] = answer
                continue
            if answer.log_id in logs:
                other = logs[answer.log_id].client.address
                raise OptionError(f"option bridges: {other} and {client.address} are the same bridge")
            self._met.add(client.address)
            logs[answer.log_id] = Place(client, answer)
        return View(logs, silent)

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def all_met(self) -> bool:
        """Whether every bridge has answered this process at least once."""
        return self._met.issuperset(client.address for client in self._clients)

    def _ask(self, client: BridgeClient, *, patient: bool) -> Status | BridgeUnavailable:
        try:
            return client.status(patient=patient or client.address not in self._met)
        except BridgeUnavailable as error:
            return error
