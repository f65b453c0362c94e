"""``python -m attacks`` writes docs/security/attacks.md: attack, before, after, test."""

from pathlib import Path

from attacks import attacks

PAGE = Path(__file__).parents[1] / "docs" / "security" / "attacks.md"
HEAD = """# Attacks: before, after, test

Written by `python -m attacks` from the folder `attacks/`, whose modules make each input. *Before*: what
the input did; *after*: what it does now; both measured. The test repeats it.
"""


def page() -> str:
    """Return the table as Markdown."""
    lines, area = [HEAD], ""
    for name, attack in attacks():
        if name != area:
            lines += ["", f"## {name.replace('_', ' ')}", "", "| attack | before | after | test |", "|---|---|---|---|"]
            area = name
        cells = (attack.name, attack.before, attack.after, f"`{attack.test}`")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
