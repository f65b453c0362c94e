"""Write a bill of materials (CycloneDX) of a Python environment: ``python scripts/bill.py PYTHON FILE``.

cyclonedx-py makes it. Taken out are addresses of files on the machine that made it, and earnest itself as it is
installed there, which is the subject of the bill already.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(python: str, path: Path) -> None:
    """Make the bill, and check what it says."""
    made_by = [str(Path(sys.executable).parent / "cyclonedx-py"), "environment", "--output-reproducible"]
    words = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-file", str(path), python]
    subprocess.run([*made_by, *words], check=True)
    bill = json.loads(path.read_text(encoding="utf-8"))
    own = bill["metadata"]["component"]
    kept = [part for part in bill["components"] if part["name"] != own["name"]]
    for part in kept:
        references = [one for one in part.get("externalReferences", ()) if not one["url"].startswith("file:")]
        part["externalReferences"] = references
    bill["components"] = kept
    known = {own["bom-ref"], *(part["bom-ref"] for part in kept)}
    bill["dependencies"] = [line for line in bill.get("dependencies", ()) if line["ref"] in known]
    text = json.dumps(bill, indent=1, ensure_ascii=False) + "\n"
    if not kept or "file:" in text:
        raise SystemExit(f"{path}: is empty, or names files of this machine.")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
