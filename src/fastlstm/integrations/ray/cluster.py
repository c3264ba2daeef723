"""The cluster of RAY_ADDRESS, or Ray on this machine."""

from __future__ import annotations

from typing import Any

from fastlstm.errors import MissingDependencyError


def connect(purpose: str) -> tuple[Any, bool]:
    """Return the module `ray`, connected to a cluster, and whether this call connected it.

    Args:
        purpose: What needs Ray, for the message.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(purpose, "ray", "ray") from None
    if ray.is_initialized():
        return ray, False
    ray.init(log_to_driver=False)
    return ray, True


def cores(ray: Any) -> int:
    """Return the number of cores of the cluster."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))
