"""Tables that corpora come with: read where they are right, a named error where they are not."""

from pathlib import Path

import pytest

from earnest.corpora.base import CORPORA
from earnest.corpora.nemo import LIST
from earnest.errors import CorpusError

DEMOGRAPHICS = "VideoDemographics.csv"


def crema_d(root: Path, table: bytes) -> None:
    (root / DEMOGRAPHICS).write_bytes(table)
    CORPORA.get("crema-d")().parser(root)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"ActorID,Sex\n1001,M\xe4nnlich\n", "not a readable table"),
        (b"ActorID,Sex\n1001,Mann\n", r"expected a column Sex \(Female, Male\); 'Mann' is wrong"),
        (b"Actor,Sex\n1001,Male\n", "expected a column ActorID"),
    ],
)
def test_demographics_of_crema_d_that_are_wrong_are_named(tmp_path: Path, table: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=rf"{DEMOGRAPHICS}(:\d+)?: {message}"):
        crema_d(tmp_path, table)


@pytest.mark.parametrize(
    ("table", "message"), [(b"file_id\n\xff\n", "not a readable table"), (b"name\nx\n", "expected a column file_id")]
)
def test_a_list_of_nemo_that_is_wrong_is_named(tmp_path: Path, table: bytes, message: str) -> None:
    (tmp_path / LIST).write_bytes(table)
    with pytest.raises(CorpusError, match=rf"{LIST}(:\d+)?: {message}"):
        CORPORA.get("nemo")().published(tmp_path)
