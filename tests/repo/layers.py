"""The contract of the layers: what lies in each package and folder, upstream first, and what it may import.

The way of the data is wire -> log -> ingest and egress -> app in the bridge, then the bridge's contract -> source ->
sinks -> runner -> jobs in Spark. A module may import what stands in a tier before its own, never what stands beside or
behind it. As every folder has a contract, there can be no circle of imports. ``test_layers.py`` reads every import.
"""

from __future__ import annotations

CONTRACTS: dict[str, tuple[str, ...]] = {
    "flume": (
        "errors",
        "config jars",
        "agent",
    ),
    "flume.agent": (
        "file_channel folder_lock metrics output_log spool_id",
        "recovery",
        "process",
    ),
    "flume.config": (
        "quoting values",
        "checks",
        "render",
        "rendered_examples",
    ),
    "flume.jars": (
        "ivy java",
        "compiler jar_set",
        "cache",
    ),
    "avro_bridge": (
        "errors",
        "contract wire",
        "log",
        "config metrics logging_setup",
        "ingest egress admin flume_metrics",
        "app",
        "cli",
        "__main__",
    ),
    "avro_bridge.egress": (
        "batches",
        "server",
    ),
    "avro_bridge.ingest": (
        "answers calls rate_limit tls",
        "connection",
        "server",
    ),
    "avro_bridge.log": (
        "folder_lock record settings",
        "blocks environment",
        "dedup metadata places",
        "append consumers reader retention",
        "read_only",
        "log",
        "group_commit tools",
        "writer",
    ),
    "avro_bridge.log.dedup": (
        "event_ids late_copies",
        "records",
        "suspects",
    ),
    "avro_bridge.log.tools": (
        "scan",
        "dump verify",
    ),
    "avro_bridge.wire": (
        "avro_primitives kernels limits protocol",
        "events frames handshake layers",
        "blocks layer_detection server",
    ),
    "avro_bridge.wire.kernels": (
        "copy error_codes lines",
        "walk",
    ),
    "spark_job": (
        "errors ranges http_status",
        "blocks",
        "parse options windows",
        "accounting",
        "source sinks",
        "runner",
        "jobs",
        "cli",
        "__main__",
    ),
    "spark_job.accounting": (
        "audit_file lateness open_panes spark_checksums tally",
        "spark_checkpoint",
        "dead_letters ledger",
        "batch_records totals_file",
    ),
    "spark_job.jobs": (
        (
            "actions both_apis catalog hashtags intervals options pairs sensors sql_errors status_per_batch "
            "url_counts_dstream visitors"
        ),
        "bots running_totals sessions sql top_sellers traffic url_counts",
    ),
    "spark_job.options": (
        "model spark_map",
        "command_line",
    ),
    "spark_job.parse": (
        "directives json_shapes requests schema text urls",
        "json_objects rollup times",
        "strftime",
        "formats",
        "extract kernels",
        "nginx_json",
        "parser",
        "line_counter",
    ),
    "spark_job.parse.kernels": (
        "line_form loads",
        "line_ends line_times scan sums",
        "precompile sum_arrays",
    ),
    "spark_job.runner": (
        (
            "background bridge_positions drain_file folder_format job_settings metrics_page progress s3a session "
            "spark_errors"
        ),
        "job job_folder",
        "job_run results watch",
        "release",
        "batch_writer",
        "dstreams objects structured",
        "run",
    ),
    "spark_job.runner.dstreams": (
        "batch_plans decoder intervals renamed_functions",
        "context options part_reader",
        "batch_entry batch_planner job",
        "delivery direct_stream running_streams take_over",
        "run",
    ),
    "spark_job.runner.objects": (
        "job",
        "run",
    ),
    "spark_job.runner.results": (
        "embedded_records shape url_counts",
        "embedded_table",
        "row_results",
    ),
    "spark_job.runner.structured": (
        "checkpoint_fit job",
        "running_query take_over",
        "beginning opening",
        "stream",
        "batch",
    ),
    "spark_job.sinks": (
        "counts_table terminal throttle",
        "base snapshot_file url_table",
        "console database jsonl parquet rows",
        "sink_spec",
    ),
    "spark_job.sinks.counts_table": (
        "reader retention schema",
        "writer",
    ),
    "spark_job.sinks.database": (
        "columns dialects key_text retry url",
        "connection",
        "schema_check",
        "tables",
        "ledger read rows",
        "ownership",
        "staging write",
        "counts_copy spark_format upsert",
        "top_urls",
    ),
    "spark_job.source": (
        "offsets option_table worker_tuning",
        "options",
        "bridge_client json_options",
        "bridges range_reader",
        "partitions",
        "planner",
        "readers",
        "audited_rows data_source",
        "access_log json_events",
        "flume",
    ),
    "headrace": (
        "errors common container_settings",
        "state_folder drop sample doctor job_status jars_s3a messages",
        "run_end",
        "status",
        "containers local",
        "cli",
        "services",
        "__main__",
    ),
    "headrace.cli": (
        "containers exit_codes output parameters top",
        "jobs log run tools",
        "app",
    ),
    "headrace.common": ("addresses allocator bridge_defaults durations files kernels retry suggest text",),
    "headrace.containers": (
        "folder hints places",
        "arguments docker settings",
        "readiness",
        "lifecycle",
        "output",
        "commands",
    ),
    "headrace.local": (
        "child_process orphan_guard run_options supervisor",
        "stage_output",
        "stages",
        "pipeline",
        "run",
        "run_once run_without_bridge",
    ),
    "headrace.services": (
        "environment precompile",
        "agent bridge health spark",
        "show_config status",
        "__main__",
    ),
}
"""Each package, and what lies directly in it. Imports for types count like others: they tie two files together too."""

UPSTREAM: dict[str, tuple[str, ...]] = {
    "flume": ("headrace.common",),
    "avro_bridge": ("flume.agent.metrics", "flume.errors", "headrace.common"),
    "spark_job": ("avro_bridge.contract", "avro_bridge.errors", "headrace.common"),
    "headrace": ("flume", "avro_bridge", "spark_job"),
}
"""What a package may import of the others."""
