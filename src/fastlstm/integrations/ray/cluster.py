"""The cluster of RAY_ADDRESS, or Ray on this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.errors import MissingDependencyError, OptionError

MAX_SUMMARY = 300
"""Characters of an error of Ray that are kept; Ray repeats tracebacks in its messages."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        ray: The module `ray`.
        machines: The number of cores of each machine.
        is_own: Whether `connect` connected to it, so that `close` disconnects.
    """

    ray: Any
    machines: Sequence[int]
    is_own: bool

    @property
    def cores(self) -> int:
        """The number of cores of all machines."""
        return sum(self.machines)

    def close(self) -> None:
        """Disconnect from the cluster, and stop it if `connect` started it, unless the caller was connected before."""
        if self.is_own:
            self.ray.shutdown()


def connect(option: str, processes: int | None, *, purpose: str) -> Cluster:
    """Connect to a cluster.

    Args:
        option: The name of the option that sets the number of processes.
        processes: The number of processes, each of which needs a core. None: as many as there are cores.
        purpose: What needs Ray, for the message.

    Raises:
        MissingDependencyError: Ray is not installed.
        OptionError: The cluster cannot be reached, or has fewer cores than `processes`.
    """
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(purpose, "ray", "ray") from None
    is_own = not ray.is_initialized()
    if is_own:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise OptionError(
                f"cannot connect to Ray: {reason}; check RAY_ADDRESS, or unset it to start Ray on this machine",
                code="cannot-connect",
                source="Ray",
                reason=reason,
            ) from error
    cluster = Cluster(
        ray, [int(machine["Resources"].get("CPU", 0)) for machine in ray.nodes() if machine["Alive"]], is_own
    )
    needed = 1 if processes is None else processes
    if needed > cluster.cores:
        cluster.close()
        raise OptionError(
            f"`{option}` is {needed}, but the Ray cluster has {cluster.cores} cores; pass at most {cluster.cores}",
            code="bad-option-value",
            option=option,
            value=needed,
        )
    return cluster


def cores_per_worker(machines: Sequence[int], workers: int) -> int:
    """Return the largest number of cores that each of `workers` can have; a worker has its cores on one machine.

    Args:
        machines: The number of cores of each machine.
        workers: At most the sum of `machines`.
    """
    return next(n for n in range(max(machines), 0, -1) if sum(cores // n for cores in machines) >= workers)


def summary(error: BaseException) -> str:
    """Return the class and the message of an error in one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= MAX_SUMMARY else f"{text[:MAX_SUMMARY]}..."
