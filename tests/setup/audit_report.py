"""`audit_report.py npm|pip FILE`: what a report of `npm audit --json` or `pip-audit --format json` says: `none`, `found`,
or `unknown` if it is not a report about every package. An error is never taken for a report without findings."""

import json
import sys


def verdict(kind, text):
    try:
        report = json.loads(text)
    except ValueError:
        return "unknown"
    if not isinstance(report, dict):
        return "unknown"
    if kind == "npm":
        if "auditReportVersion" not in report or "vulnerabilities" not in report:
            return "unknown"
        return "found" if report["vulnerabilities"] else "none"
    packages = report.get("dependencies")
    if not packages:
        return "unknown"
    if any(package.get("vulns") for package in packages):
        return "found"
    # A package that was skipped has `skip_reason`.
    return "none" if all("vulns" in package for package in packages) else "unknown"


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        print(verdict(sys.argv[1], file.read()))
