"""Every registered network keeps the same promises; a new model is checked without a line here."""

from earnest.models.classifier import MODELS
from earnest.testing import Check, parametrize_with_checks


@parametrize_with_checks(models=MODELS.names())
def test_a_network_keeps_its_contract(check: Check) -> None:
    check()
