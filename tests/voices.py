"""Made-up voices, under the short name that the tests of this folder use."""

from earnest.testing.sounds import voice, write_voice

__all__ = ["voice", "write_voice"]
