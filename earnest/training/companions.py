"""What a run holds beside its weights for the runtime: how to get used to a voice, and what sound it knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from earnest.errors import EarnestError
from earnest.printable import shown
from earnest.reading import read_bytes
from earnest.recipe import Training
from earnest.run_files import write_atomically
from earnest.runtime.adaptation import Adaptation
from earnest.training.adaptation import COPY, Heard, fit_adaptation, with_scale
from earnest.training.data import Example, speakers_known_to
from earnest.training.discriminant import Embeddings, embed, knows_voices
from earnest.training.domain import Domain, domain_entry, fit_domain, longest_known


@dataclass(frozen=True)
class Companions:
    """Either may be absent: too few speakers or clips, or a network whose embedding is trained.

    Nor does a network get used to voices that it knows.
    """

    adaptation: Adaptation | None = None
    domain: Domain | None = None

    def entries(self) -> dict[str, Mapping[str, Any] | None]:
        """Return what ``run.json`` and ``bundle.json`` say about them."""
        return {
            "adaptation": self.adaptation.entry().to_dict() if self.adaptation else None,
            "domain": self.domain.entry().to_dict() if self.domain else None,
        }

    def write(self, folder: Path) -> None:
        """Write their files into a run folder."""
        for companion in (self.adaptation, self.domain):
            if companion:
                write_atomically(folder / companion.entry().file, companion.to_bytes())


def fit_companions(
    network: nn.Module,
    train: Sequence[Example],
    valid: Sequence[Example],
    settings: Training,
    n_classes: int,
    known: Embeddings,
    before: Companions | None = None,
) -> Companions:
    """Fit on training clips; scales and threshold on validation clips, unless those of ``before`` stay.

    Parameters
    ----------
    train : with their changed copies, which adaptation learns from; sound that is known is that of the clips themselves
    known : see `earnest.training.discriminant.embed`
    before : of a network that was not trained on the validation clips, where they are in ``train`` now
    """
    if settings.method != "discriminant":
        return Companions()
    heard = heard_by(network, train, known)
    adaptation = None if knows_voices(network) else fit_adaptation(heard, settings.shrinkage, n_classes)
    if not valid:
        return Companions(adaptation)
    unseen = heard_by(network, valid, known)
    plain = heard_by(network, [example for example in train if not example.copy], known)
    domain = fit_domain(plain.embeddings, unseen.embeddings, longest_known(plain.seconds))
    if before is None:
        return Companions(adaptation and with_scale(adaptation, unseen, settings.seed), domain)
    return Companions(
        adaptation and before.adaptation and replace(adaptation, **before.adaptation.rule()),
        domain and before.domain and replace(domain, threshold=before.domain.threshold),
    )


def heard_by(network: nn.Module, examples: Sequence[Example], known: Embeddings) -> Heard:
    """Return the embeddings of clips with what is known about them; changed copies count as other voices."""
    fitted_on = speakers_known_to(network)
    return Heard(
        embed(network, examples, known).double().numpy(),
        np.array([example.target for example in examples], np.int64),
        [f"{example.speaker}{COPY}{example.copy}" if example.copy else example.speaker for example in examples],
        np.array([example.duration_s for example in examples]),
        np.array([not example.copy and example.speaker not in fitted_on for example in examples], np.bool_),
        [example.utterance.corpus for example in examples],
    )


def domain_of(run: Path, entry: Mapping[str, Any] | None) -> Domain | None:
    """Read what a run knows of its training clips' embeddings; None where nothing was fitted."""
    if entry is None:
        return None
    (data,) = companion_files(run, [entry]).values()
    return Domain.read(domain_entry(entry, str(run)), data, str(run))


def companion_files(run: Path, entries: Sequence[Mapping[str, Any] | None]) -> dict[str, bytes]:
    """Read the files that a run's entries name: file name → content."""
    names = [str(entry.get("file", "")) for entry in entries if entry]
    for name in names:
        if not name or Path(name).name != name:
            raise EarnestError(f"{run}: {shown(name)} is no file of the run. Train it again.")
    return {name: read_bytes(run / name, missing="a file of the run is missing. Train it again.") for name in names}
