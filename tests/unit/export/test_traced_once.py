"""Graphs that tests share are those of networks that are equal in all that they hold."""

from copy import deepcopy

import pytest
import torch
from traced_once import _all_that_it_holds

from earnest.export.onnx import _Network
from earnest.testing.models import model_called


@pytest.mark.parametrize("name", ["cabg", "student-statistics"])
def test_a_network_is_another_one_by_a_weight_a_setting_or_an_output(name: str) -> None:
    names = ["logits", "probabilities"]
    model, same = model_called(name), model_called(name)
    held = _all_that_it_holds(_Network(model, names))
    assert held is not None
    assert held == _all_that_it_holds(_Network(same, list(names)))
    moved, changed = deepcopy(same), deepcopy(same)
    with torch.no_grad():
        list(moved.network.state_dict().values())[-1].view(-1)[0] += 1
    next(iter(changed.network.children())).made_up = 1  # type: ignore[assignment]
    others = [_Network(same, names[:1]), _Network(moved, names), _Network(changed, names)]
    assert len({held, *map(_all_that_it_holds, others)}) == 1 + len(others)


def test_the_order_of_a_set_makes_no_network_another_one() -> None:
    ordered, turned = (torch.nn.Identity() for _ in range(2))
    ordered.names, turned.names = {0, 8}, {8, 0}  # type: ignore[assignment]
    assert list(ordered.names) != list(turned.names)  # type: ignore[call-overload]
    assert _all_that_it_holds(ordered) == _all_that_it_holds(turned) != _all_that_it_holds(torch.nn.Identity())
