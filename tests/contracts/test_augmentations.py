"""Every registered augmentation keeps the same promises; a new one is checked without a line here."""

from earnest.augment.base import AUGMENTATIONS
from earnest.testing import Check, parametrize_with_checks


@parametrize_with_checks(augmentations=AUGMENTATIONS.names())
def test_an_augmentation_keeps_its_contract(check: Check) -> None:
    check()
