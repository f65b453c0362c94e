"""Networks, one file each. Called as ``earnest.models()`` it lists the bundles that come with the package."""

import sys
from types import ModuleType

from earnest.bundle import BundleInfo, load_bundle, shipped_bundles


class _Models(ModuleType):
    """The package itself: importing a network binds the name ``earnest.models`` to it, so it must be what is called."""

    def __call__(self) -> list[BundleInfo]:
        """Return the description of each shipped bundle: name, classes, licence, training corpora, results."""
        return [load_bundle(name).info for name in shipped_bundles()]


sys.modules[__name__].__class__ = _Models
