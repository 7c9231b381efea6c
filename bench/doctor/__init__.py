"""What a run would need, looked at before there is one: this machine, and the providers that could be asked."""

from bench.doctor.ask import ask_all
from bench.doctor.findings import Answer, Diagnosis, Finding, Level, ProviderRow
from bench.doctor.machine import machine_findings
from bench.doctor.providers import provider_rows, somebody_to_ask

__all__ = [
    "Answer",
    "Diagnosis",
    "Finding",
    "Level",
    "ProviderRow",
    "ask_all",
    "machine_findings",
    "provider_rows",
    "somebody_to_ask",
]
