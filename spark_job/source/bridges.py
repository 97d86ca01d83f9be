"""All bridges of a query as the driver sees them: where each log is, and which bridges do not answer.

Offsets are kept by log id. An address only says where a log was found last: the next poll may find it elsewhere.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.errors import BridgeUnavailable, OptionError
from spark_job.source.bridge_client import BridgeClient, RetryPolicy

if TYPE_CHECKING:
    from avro_bridge.contract import LogStatus
    from spark_job.source.options import Address, FlumeOptions


@dataclass(frozen=True)
class LocatedLog:
    """The status of a log, and the client of the bridge that has it."""

    client: BridgeClient
    status: LogStatus


@dataclass(frozen=True)
class PollResult:
    """What one poll found: logs by id, and why the other bridges did not answer."""

    logs: dict[str, LocatedLog]
    silent: dict[Address, BridgeUnavailable]

    def require_all(self) -> None:
        """Refuse to go on without the bridges that did not answer.

        Raises:
            BridgeUnavailable: names each of them.
        """
        if self.silent:
            raise BridgeUnavailable("; ".join(str(error) for error in self.silent.values()))


class Bridges:
    """Asks all bridges at once. It keeps the connections between polls; ``close`` ends them."""

    def __init__(self, options: FlumeOptions, retry: RetryPolicy | None = None) -> None:
        retry = retry or RetryPolicy(patience_s=options.bridge_timeout_s)
        self._clients = [BridgeClient(address, options.security, retry) for address in options.bridges]
        self._answered: set[Address] = set()

    def poll(self, *, patient: bool) -> PollResult:
        """Ask every bridge for its status.

        Args:
            patient: ask a bridge that does not answer again, for as long as the options allow. This is always so for a
                bridge that has never answered this process: its address may be wrong, and nobody would notice.

        Raises:
            OptionError: two addresses show the same log.
        """
        with ThreadPoolExecutor(len(self._clients), thread_name_prefix="poll") as pool:
            answers = list(pool.map(lambda client: self._ask(client, patient=patient), self._clients))
        logs: dict[str, LocatedLog] = {}
        silent: dict[Address, BridgeUnavailable] = {}
        for client, answer in zip(self._clients, answers, strict=True):
            if isinstance(answer, BridgeUnavailable):
                silent[client.address] = answer
                continue
            if answer.log_id in logs:
                other = logs[answer.log_id].client.address
                raise OptionError(f"option bridges: {other} and {client.address} are the same bridge")
            self._answered.add(client.address)
            logs[answer.log_id] = LocatedLog(client, answer)
        return PollResult(logs, silent)

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def all_answered(self) -> bool:
        """Whether every bridge has answered this process at least once."""
        return self._answered.issuperset(client.address for client in self._clients)

    def _ask(self, client: BridgeClient, *, patient: bool) -> LogStatus | BridgeUnavailable:
        try:
            return client.status(patient=patient or client.address not in self._answered)
        except BridgeUnavailable as error:
            return error
