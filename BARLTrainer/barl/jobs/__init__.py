"""The job folder: spec, events, status; launching, waiting and stopping. Standard library only."""

from barl.jobs.control import clear_stop, find_jobs, request_stop, stop_and_wait, stop_requested, wait
from barl.jobs.events import EventReader, EventWriter
from barl.jobs.launch import launch
from barl.jobs.layout import JobFolder
from barl.jobs.processes import share_cores
from barl.jobs.spec import JobSpec, read_spec, write_spec
from barl.jobs.status import State, Status, process_started, read_status, write_status

__all__ = [
    "EventReader",
    "EventWriter",
    "JobFolder",
    "JobSpec",
    "State",
    "Status",
    "clear_stop",
    "find_jobs",
    "launch",
    "process_started",
    "read_spec",
    "read_status",
    "request_stop",
    "share_cores",
    "stop_and_wait",
    "stop_requested",
    "wait",
    "write_spec",
    "write_status",
]
