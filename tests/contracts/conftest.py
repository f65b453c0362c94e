"""Tests of this folder export many networks behind few front ends, and adaptation networks with few sets of classes.

How well adaptation is learnt, none of them asks.
"""

from few_steps import adaptation_is_learnt_in_few_steps
from traced_once import adaptation_networks_are_traced_once, front_ends_are_traced_once

__all__ = ["adaptation_is_learnt_in_few_steps", "adaptation_networks_are_traced_once", "front_ends_are_traced_once"]
