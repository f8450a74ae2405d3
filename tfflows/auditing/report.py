"""What an audit found, as text, as a table in Markdown, and as data."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

OK, WRONG, OPEN = "ok", "WRONG", "not checked"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was compared with what.
        verdict: `"ok"`, `"WRONG"` or `"not checked"`.
        note: the sentence that goes with the verdict, empty for a plain `"ok"`.
        error, allowed: at the input where they compare worst; `None` where nothing was measured.
        worst: that input, or `None`.
    """

    check: str
    verdict: str
    note: str = ""
    error: float | None = None
    allowed: float | None = None
    worst: np.ndarray | None = None

    def __str__(self):
        lines = [f"{self.verdict:11}  {self.check}"]
        if self.error is not None:
            lines[0] += f": off by {self.error:.2g}, {self.allowed:.2g} allowed"
        if self.note:
            lines.append(f"{'':13}{self.note}")
        if self.verdict == WRONG and self.worst is not None:
            values = np.array2string(self.worst, precision=6, threshold=8, separator=", ")
            lines.append(f"{'':13}worst input: {' '.join(values.split())}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Report:
    """All findings of an audit; `print(report)` shows them.

    Attributes:
        subject: what was audited.
        settings: the inputs' shape, dtype and seed.
        findings: one `Finding` for each check, in the order in which they ran.
    """

    subject: str
    settings: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no check found an error; those not checked do not count."""
        return not self.wrong

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings of checks that found an error."""
        return tuple(finding for finding in self.findings if finding.verdict == WRONG)

    def __str__(self):
        counts = dict.fromkeys((OK, WRONG, OPEN), 0)
        for finding in self.findings:
            counts[finding.verdict] += 1
        summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        return "\n".join([f"{self.subject}: {summary}", self.settings, *map(str, self.findings)])

    def markdown(self) -> str:
        """A table, one row for each check."""
        rows = [
            f"**{self.subject}** ({self.settings})",
            "",
            "| check | verdict | off by | allowed | |",
        ]
        rows.append("| --- | --- | --- | --- | --- |")
        for found in self.findings:
            error, allowed = ("" if v is None else f"{v:.2g}" for v in (found.error, found.allowed))
            note = found.note.replace("|", "\\|")
            rows.append(f"| {found.check} | {found.verdict} | {error} | {allowed} | {note} |")
        return "\n".join(rows)

    def json(self) -> str:
        """The report as a JSON object; numbers that are not finite are strings."""
        return json.dumps(_plain(dataclasses.asdict(self) | {"ok": self.ok}), indent=1)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
