"""Tests of this folder train many times, and most of that time would go into adaptation, which is learnt at the end."""

from few_steps import adaptation_is_learnt_in_few_steps
from traced_once import adaptation_networks_are_traced_once

__all__ = ["adaptation_is_learnt_in_few_steps", "adaptation_networks_are_traced_once"]
