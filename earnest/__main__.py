"""``python -m earnest``, and the command ``earnest``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded ends it without a traceback, too."""
    try:
        from earnest.apps.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    run()


if __name__ == "__main__":
    main()
