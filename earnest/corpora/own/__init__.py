"""Anybody's labelled recordings, in whatever layout they come: see `read_own`."""

from earnest.corpora.own.data import OwnData, Refused
from earnest.corpora.own.read import read_own

__all__ = ["OwnData", "Refused", "read_own"]
