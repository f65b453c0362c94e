"""Text from outside."""

import pytest

from earnest.errors import CorpusError
from earnest.files.reading import decoded


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_at_the_start_tells_the_encoding(encoding):
    assert decoded("Ärger;z.wav\r\n".encode(encoding), "list.csv") == "Ärger;z.wav\r\n"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("a\nÄrger".encode("cp1252"), "UTF-8"),
        ("a\nÄ".encode("utf-16")[:-1], "UTF-16"),
        ("a\nÄ".encode("utf-32"), "UTF-8"),
    ],
)
def test_another_encoding_is_told_with_the_line(data, name):
    with pytest.raises(CorpusError, match=rf"list.csv:\d: not a readable list \(not {name}: .+\)\. Save it as UTF-8"):
        decoded(data, "list.csv", CorpusError, "list")


def test_how_a_spreadsheet_saves_utf_8_is_told_of_tables_alone():
    with pytest.raises(CorpusError, match=r'Save it as UTF-8 \(in Excel as "CSV UTF-8", not as "CSV"\)\.$'):
        decoded("Ä".encode("cp1252"), "list.csv", CorpusError)
    with pytest.raises(CorpusError, match=r"Save it as UTF-8\.$"):
        decoded("Ä".encode("cp1252"), "recipe.toml", CorpusError)
