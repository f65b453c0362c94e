"""``python -m earnest``, and the command ``earnest``."""

import os
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded ends it without a traceback, too.

    Processes that it starts look for modules where this one does, and not in the folder that it stands in.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        from earnest.apps.cli.main import main as run
    except BaseException as error:
        from earnest.errors import is_interrupt

        if not is_interrupt(error):
            raise
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
