"""Run directories: the one writer of a run's records, and lazy readers of them."""

from bench.journal.directory import (
    LOG,
    MANIFEST,
    ROUTES,
    SUMMARY,
    TASKS,
    WORKLOAD,
    create_run_directory,
    sync_directory,
    write_atomically,
)
from bench.journal.lines import LineFile, decode_line, iter_lines, read_whole
from bench.journal.reader import iter_last_lines, iter_last_results, iter_route_changes, read_manifest
from bench.journal.writer import Journal

__all__ = [
    "LOG",
    "MANIFEST",
    "ROUTES",
    "SUMMARY",
    "TASKS",
    "WORKLOAD",
    "Journal",
    "LineFile",
    "create_run_directory",
    "decode_line",
    "iter_last_lines",
    "iter_last_results",
    "iter_lines",
    "iter_route_changes",
    "read_manifest",
    "read_whole",
    "sync_directory",
    "write_atomically",
]
