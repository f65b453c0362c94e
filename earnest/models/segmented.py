"""Any network behind segmenting and imaging: from outside it is a network on frames."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from earnest.frontends.cut import blocks, crop, floor_of
from earnest.frontends.image import SpectrogramImage
from earnest.models.output import NetworkOutput
from earnest.segments import Segments


class Segmented(nn.Module):
    """Cuts clips into segments, makes images of them where the network sees images, and joins the answers.

    A crop lies in the middle of its clip; while training, anywhere (torch's global generator). Blocks are joined by
    their mean log-probability, mean embedding and mean affect, also while training.

    Parameters
    ----------
    length : frames of a segment, 0 for whole clips
    pads_with_zero : for waveforms, whose silence is zero; spectrograms are continued at their clip's lowest value
    """

    def __init__(
        self,
        network: nn.Module,
        settings: Segments,
        length: int,
        image: SpectrogramImage | None = None,
        pads_with_zero: bool = False,
    ) -> None:
        super().__init__()
        self.mode, self.length, self.pads_with_zero = settings.mode, length, pads_with_zero
        self.image = image
        self.network = network

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        return str(getattr(self.network, "origin", "random"))

    @property
    def known_speakers(self) -> frozenset[str]:
        """The speakers, as corpus/speaker, whose labels the initial weights were fitted on."""
        speakers: frozenset[str] = getattr(self.network, "known_speakers", frozenset())
        return speakers

    @property
    def notice(self) -> str:
        """The licence that must accompany the weights, "" where there is none."""
        return str(getattr(self.network, "notice", ""))

    @property
    def output(self) -> nn.Module:
        """The network's last layer."""
        return self.network.get_submodule("output")

    @property
    def gender(self) -> nn.Module | None:
        """The network's last layer for gender, where it has one."""
        found = getattr(self.network, "gender", None)
        return found if isinstance(found, nn.Module) else None

    def load_pretrained(self) -> None:
        """Take over published weights, where the network's settings name them."""
        load_pretrained = getattr(self.network, "load_pretrained", None)
        if load_pretrained is not None:
            load_pretrained()

    def fit_image(self, frames: Iterable[Tensor]) -> None:
        """Take the image's ranges and statistics from training frames, each (rows, frames)."""
        if self.image is not None:
            self.image.fit(frames)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map (batch, rows, frames) with ``n_frames`` (batch,) to the clips' outputs."""
        if self.mode == "whole":
            return self._answer(frames, n_frames)
        padding = torch.zeros_like(frames[:, :1, :1]) if self.pads_with_zero else floor_of(frames, n_frames)
        if self.mode == "crop":
            place = torch.rand(len(frames), device=frames.device) if self.training else None
            answer = self._segment(crop(frames, n_frames, self.length, padding, place))
            return answer._replace(attention=None)  # its steps would be the crop's, not the clip's
        pieces, live = blocks(frames, n_frames, self.length, padding)
        flat = pieces.flatten(0, 1)
        # A graph takes all blocks of the longest clip; otherwise the empty ones would only cost time and, while
        # training, move the statistics of batch normalisation.
        if torch.onnx.is_in_onnx_export() or frames.is_meta:
            return _joined(self._segment(flat), live)
        kept = live.flatten()
        answers = self._segment(flat[kept])
        spread = NetworkOutput(
            logits=_spread(answers.logits, kept),
            embedding=_spread(answers.embedding, kept),
            gender=None if answers.gender is None else _spread(answers.gender, kept),
            affect=None if answers.affect is None else _spread(answers.affect, kept),
        )
        return _joined(spread, live)

    def _segment(self, frames: Tensor) -> NetworkOutput:
        return self._answer(frames, torch.full_like(frames[:, 0, 0], self.length, dtype=torch.int64))

    def _answer(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        output: NetworkOutput = self.network(frames if self.image is None else self.image(frames, n_frames), n_frames)
        return output


def _spread(answer: Tensor, kept: Tensor) -> Tensor:
    """Put rows (kept, width) to where ``kept`` (all,) is True, zeros elsewhere."""
    spread = answer.new_zeros((len(kept), answer.shape[1]))
    spread[kept] = answer
    return spread


def _joined(answers: NetworkOutput, live: Tensor) -> NetworkOutput:
    """Average (batch·blocks, width) over the blocks where ``live`` (batch, blocks) is True."""
    share = (live / live.sum(dim=1, keepdim=True))[..., None]  # (batch, blocks, 1)

    def mean(rows: Tensor) -> Tensor:
        return (rows.reshape(*live.shape, rows.shape[1]) * share).sum(dim=1)

    return NetworkOutput(
        logits=mean(answers.logits.log_softmax(dim=1)),
        embedding=mean(answers.embedding),
        gender=None if answers.gender is None else mean(answers.gender.log_softmax(dim=1)),
        affect=None if answers.affect is None else mean(answers.affect),
    )
