"""Who made the rows of a file: noted in the journal's first line and beside the finished file, so that none mix."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, RecipeError, printable, shown
from earnest.files.reading import parsed_json
from earnest.files.writing import note_on_sum, whole_lines
from earnest.installation import __version__
from earnest.settings.config import from_mapping

_HEAD = b'{"made_by":'  # the line of a journal that is no row begins so


@dataclass(frozen=True)
class MadeBy:
    """A model as a run used it, and what else decides its rows.

    Attributes
    ----------
    digest : of its graphs, see `BundleInfo.digest`
    abstain_below : the threshold of the rows; None where they have none
    profile : SHA-256 of the profile that --profile names; "" for none, None where a file doesn't tell
    earnest : the version that wrote the file
    """

    model: str
    version: str
    digest: str
    abstain_below: float | None = None
    profile: str | None = None
    earnest: str = __version__

    @classmethod
    def of(cls, info: BundleInfo, profile: str) -> "MadeBy":
        """Describe the rows of predictions."""
        return cls(info.name, info.version, info.digest, info.abstain_below, profile)

    @classmethod
    def of_embeddings(cls, info: BundleInfo) -> "MadeBy":
        """Describe the rows of embeddings, which the adaptation doesn't change."""
        return cls(info.name, info.version, info.network_digest)

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps({"made_by": asdict(self)})

    def refuse_mixing(self, there: "MadeBy", output: Path, otherwise: str) -> None:
        """Raise `EarnestError` where rows of this run don't belong among those of another one.

        Parameters
        ----------
        there : the other one; another name, and rows of another kind, are left to who checks the rows
        otherwise : ends the message: what to do instead
        """
        if there.model != self.model or (there.abstain_below is None) != (self.abstain_below is None):
            return
        if there.digest != self.digest:
            ours, theirs = (shown(f"{one.model} {one.version}") for one in (self, there))
            told = f"was made by another network ({theirs}, {_short(there)}) than the one here ({ours}, {_short(self)})"
            raise EarnestError(f"{output}: {told}, as before an upgrade. Its rows don't mix. {otherwise}")
        if there.abstain_below != self.abstain_below and there.abstain_below is not None:
            told = f"was made with the threshold {_percent(there)}, and here it is {_percent(self)}"
            raise EarnestError(f"{output}: {told}. Give --abstain-below {there.abstain_below:g}, as then. {otherwise}")
        if there.profile and self.profile and there.profile != self.profile:
            told = "its answers are adapted to another profile than the one here"
            raise EarnestError(f"{output}: {told}. Give --profile as before. {otherwise}")


def made_by_in_journal(path: Path) -> MadeBy | None:
    """Return what a journal's first line notes; None for one of an earlier version, or without a line."""
    first = next((line for _, line in whole_lines(path)), b"")
    return _read(first.decode("utf-8", "replace"), f"{path}, line 1") if is_head(first) else None


def made_by_of_finished(output: Path) -> MadeBy | None:
    """Return what is noted beside a finished file; None where nothing is."""
    note = note_on_sum(output)
    return _read(note, f"{output}.sha256") if is_head(note.encode()) else None


def is_head(line: bytes) -> bool:
    """Whether a journal's line is no row, but says who made the rows."""
    return line.startswith(_HEAD)


def _read(text: str, where: str) -> MadeBy:
    values: Any = parsed_json(text, where)
    try:
        return from_mapping(MadeBy, values["made_by"], where)
    except RecipeError as error:
        raise EarnestError(f"{error} A newer earnest wrote it, or it is damaged.") from None


def _short(one: MadeBy) -> str:
    return printable(one.digest[:12])


def _percent(one: MadeBy) -> str:
    return f"{100 * (one.abstain_below or 0):g} %"
