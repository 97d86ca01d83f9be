"""The fixtures of the Spark side's tests."""

from __future__ import annotations

from tests.support.spark import spark

__all__ = ["spark"]
