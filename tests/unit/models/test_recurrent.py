"""The GRU runs over each clip's own steps."""

import torch
from torch import nn

from earnest.models.cabg import BidirectionalGru


def test_a_padded_batch_gives_each_clips_own_states() -> None:
    torch.manual_seed(0)
    gru = BidirectionalGru(5, 3).eval()
    steps = torch.randn(3, 7, 5)
    n_steps = torch.tensor([4, 7, 1])
    states, final = gru(steps, n_steps)
    plain = nn.GRU(5, 3, batch_first=True, bidirectional=True)
    plain.load_state_dict(gru.state_dict())
    for row, count in enumerate(n_steps.tolist()):
        expected, last = plain(steps[row : row + 1, :count])
        torch.testing.assert_close(states[row : row + 1, :count], expected)
        torch.testing.assert_close(final[row], torch.cat([last[0, 0], last[1, 0]]))
        assert not states[row, count:].any()
