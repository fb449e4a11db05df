"""Says before training what would go wrong, and what to do: `python -m agents.doctor --build GridWorld`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from agents.checks.findings import Level, Report, error
from agents.checks.installation import OURS, installation


def main(argv: Sequence[str]) -> None:
    """Ends with the exit code: 0 healthy, 1 an error was found, 2 a wrong command line."""
    try:
        checks = importlib.import_module("agents.checks.command")
    except Exception as failure:  # whatever a package that is missing, broken or too old may raise
        sys.exit(_not_importable(failure))
    except KeyboardInterrupt:
        sys.exit(130)
    checks.run(argv)


def _not_importable(failure: Exception) -> int:
    """Says what of the installation is to blame; returns the exit code."""
    report = Report()
    findings = list(installation())
    for finding in findings:
        report.add(finding)
    if all(finding.level is Level.OK for finding in findings):
        what = " ".join(f"{type(failure).__name__}: {failure}".split())
        report.add(error("imports", what, f"install again: pip install --force-reinstall {OURS}"))
    return report.close()


if __name__ == "__main__":
    main(sys.argv[1:])
