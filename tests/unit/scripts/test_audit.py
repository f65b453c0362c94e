"""What ``make audit`` says: weaknesses, and never "safe" where nobody answered."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SAFE = {"dependencies": [{"name": "click", "version": "8.5.1", "vulns": []}]}
WEAK = {"dependencies": [{"name": "av", "version": "14.0", "vulns": [{"id": "CVE-1", "fix_versions": ["17.1.0"]}]}]}
UNKNOWN = {"dependencies": [{"name": "click", "skip_reason": "not found"}]}
PAGE_SAFE: dict[str, Any] = {"vulnerabilities": {}}


@pytest.fixture
def audit() -> ModuleType:
    import audit

    return audit


@pytest.mark.parametrize(
    ("of_python", "of_page", "code", "said"),
    [
        (SAFE, PAGE_SAFE, 0, "No weakness is known"),
        (WEAK, PAGE_SAFE, 1, "av 14.0: CVE-1, fixed in 17.1.0"),
        (SAFE, {"vulnerabilities": {"esbuild": {"severity": "high"}}}, 1, "esbuild (npm): high"),
        (UNKNOWN, PAGE_SAFE, 2, "gave no answer: click"),
        (None, None, 2, "constraints.txt, locks/release.txt, web/package-lock.json"),
        (WEAK, {"error": {"summary": "405"}}, 1, "gave no answer: web/package-lock.json"),
    ],
)
def test_the_answer_of_the_advisories_is_told(
    audit: ModuleType,
    of_python: Any,
    of_page: Any,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "answer", lambda folder, *command: of_page if command[0] == "npm" else of_python)
    assert audit.main() == code
    told = capsys.readouterr()
    assert said in told.out + told.err


def test_a_client_that_is_missing_or_says_no_json_gave_no_answer(audit: ModuleType, tmp_path: Path) -> None:
    assert audit.answer(tmp_path, "a-program-that-nobody-has") is None
    assert audit.answer(tmp_path, sys.executable, "-c", "print('down for maintenance')") is None
