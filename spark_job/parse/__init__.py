"""Parses access-log lines into columns, and counts them per pane: formats, URL rules, parser, kernels."""

from __future__ import annotations

from spark_job.parse.line_counter import Counts, LineCounter, cut_length_of
from spark_job.parse.parser import LineParser
from spark_job.parse.rollup import panes, roll_up
from spark_job.parse.schema import SCHEMA, Reason
from spark_job.parse.urls import UrlRule

__all__ = ["SCHEMA", "Counts", "LineCounter", "LineParser", "Reason", "UrlRule", "cut_length_of", "panes", "roll_up"]
