"""The protocols on the real corpora, as far as they are there."""

import os
from pathlib import Path

import pytest

from earnest.corpora.load import load_utterances
from earnest.evaluation.protocols import splits_of

TESTED = {  # protocol → (corpora, clips tested over all folds, folds); EmoDB: the complete corpus has 535
    "ravdess-6fold": (["ravdess"], {1440}, 6),
    "emodb-loso": (["emodb"], range(500, 536), 10),
    "crema-d-5fold": (["crema-d"], {7435}, 5),
    "emocatcher-5fold": (["ravdess"], {1440}, 5),
    "emocatcher-holdout": (["ravdess"], {288}, 1),
    "vino-random": (["ravdess", "ravdess-song"], range(245, 247), 1),
}


@pytest.mark.corpora
@pytest.mark.parametrize("protocol", TESTED)
def test_a_protocol_tests_the_clips_it_is_defined_on(protocol):
    corpora, n_tested, n_folds = TESTED[protocol]
    data = os.environ.get("EARNEST_DATA")
    if not data or not all((Path(data) / corpus).is_dir() for corpus in corpora):
        pytest.skip(f"EARNEST_DATA holds no {' and '.join(corpora)}")
    splits = splits_of(protocol, load_utterances(corpora, {}))
    tested = [row.key for split in splits for row in split.test]
    assert len(splits) == n_folds
    assert len(tested) == len(set(tested))
    assert len(tested) in n_tested
