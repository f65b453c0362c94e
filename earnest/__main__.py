"""``python -m earnest``."""

from earnest.apps.cli.main import main

main()
