"""The names of the protocols, as the help of commands ends with them."""

from textwrap import fill

from earnest.evaluation.protocols import PROTOCOLS

# Wrapped here, as click would break names at their hyphens.
EPILOG = "\b\n" + fill(
    f"Protocols: {', '.join(PROTOCOLS)}; the number in speaker-, group- and stratified-5fold is free.",
    width=78,
    break_on_hyphens=False,
)
