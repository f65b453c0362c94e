"""Tests of this folder export many networks behind few front ends."""

from traced_once import front_ends_are_traced_once

__all__ = ["front_ends_are_traced_once"]
