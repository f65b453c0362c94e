"""Tests of this folder export many networks behind few front ends, and adaptation networks with few sets of classes."""

from traced_once import adaptation_networks_are_traced_once, front_ends_are_traced_once

__all__ = ["adaptation_networks_are_traced_once", "front_ends_are_traced_once"]
