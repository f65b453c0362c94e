"""Neighbouring tokens that become one, their mean (after Bolya et al., 2023)."""

from torch import Tensor
from torch.nn import functional


def merged(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Return the mean of every ``n_together`` heard tokens, (batch, fewer, width), and which of them heard any."""
    return (tokens, mask) if n_together == 1 else means_of(*filled_up(tokens, mask, n_together), n_together)


def filled_up(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Append unheard tokens up to a multiple of ``n_together``."""
    missing = -tokens.shape[1] % n_together
    return functional.pad(tokens, (0, 0, 0, missing)), functional.pad(mask, (0, missing))


def means_of(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Do as `merged`, where the number of tokens is a multiple of ``n_together``."""
    heard = mask.view(len(mask), -1, n_together, 1).to(tokens.dtype)
    counts = heard.sum(dim=2, keepdim=True)
    shares = heard / counts.clamp(min=1)
    parts = tokens.view(len(tokens), -1, n_together, tokens.shape[2])
    return (parts * shares).sum(dim=2), counts[:, :, 0, 0] > 0
