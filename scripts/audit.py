"""Ask the advisories of PyPI and npm about every locked package; ``make audit``.

Ends with 1 where a weakness is known, and with 2 where the advisories could not be asked: no answer is no "safe".
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
AUDIT = str(Path(sys.executable).parent / "pip-audit")
# constraints.txt holds the versions of all locks but the release tools', and torch's.
PYTHON = (("constraints.txt", "--no-deps"), ("locks/release.txt", "--require-hashes"))


def answer(folder: Path, *command: str) -> Any:
    """Run a client and return the JSON that it prints, None where it prints none; what it complains of goes on."""
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
        return json.loads(done.stdout)
    except (OSError, json.JSONDecodeError):
        return None


def python_weaknesses() -> tuple[list[str], list[str]]:
    """Return known weaknesses of locked Python packages, and the packages that nobody answered for."""
    known, unanswered = [], []
    for name, option in PYTHON:
        words = ("--format", "json", "--progress-spinner", "off", "--disable-pip", option, "--requirement", name)
        found = answer(ROOT, AUDIT, *words)
        if found is None:
            unanswered.append(name)
            continue
        for package in found["dependencies"]:
            if "skip_reason" in package:
                unanswered.append(package["name"])
            for weakness in package.get("vulns", ()):
                fixed = ", ".join(weakness["fix_versions"]) or "nothing yet"
                known.append(f"{package['name']} {package['version']}: {weakness['id']}, fixed in {fixed}")
    return known, unanswered


def page_weaknesses() -> tuple[list[str], list[str]]:
    """Return known weaknesses of the packages of the page and of its tools, and whether anybody answered."""
    found = answer(ROOT / "web", "npm", "audit", "--json", "--package-lock-only")
    if found is None or "vulnerabilities" not in found:
        return [], ["web/package-lock.json"]
    return [f"{name} (npm): {weakness['severity']}" for name, weakness in found["vulnerabilities"].items()], []


def main() -> int:
    """Print what was found."""
    (known, unanswered), (of_page, page_unanswered) = python_weaknesses(), page_weaknesses()
    known, unanswered = known + of_page, sorted({*unanswered, *page_unanswered})
    for line in known:
        sys.stdout.write(f"{line}\n")
    if unanswered:
        sys.stderr.write(
            f"Not audited, the advisories gave no answer: {', '.join(unanswered)}.\n"
            "This says nothing about them. Run `make audit` where the advisories of PyPI and npm can be reached.\n"
        )
    elif not known:
        sys.stdout.write("No weakness is known of any locked package.\n")
    return 1 if known else 2 if unanswered else 0


if __name__ == "__main__":
    sys.exit(main())
