"""Text from outside."""

import pytest

from earnest.errors import CorpusError
from earnest.files.reading import decoded


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_at_the_start_tells_the_encoding(encoding):
    assert decoded("Ärger;z.wav\r\n".encode(encoding), "list.csv") == "Ärger;z.wav\r\n"


@pytest.mark.parametrize("data", ["a\nÄrger".encode("cp1252"), "a\nÄ".encode("utf-16")[:-1]])
def test_another_encoding_is_told_with_the_line(data):
    with pytest.raises(CorpusError, match=r"list.csv:\d: not a readable list \(not UTF-8: .+\)\. Save it as UTF-8"):
        decoded(data, "list.csv", CorpusError, "list")
