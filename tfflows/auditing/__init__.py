"""An audit of any bijector, layer or flow: its properties, with the worst input of each."""

from tfflows.auditing.audit import audit
from tfflows.auditing.report import Finding, Report

__all__ = ["Finding", "Report", "audit"]
