"""A file for each recording, whatever they are called."""

from pathlib import Path


def test_recordings_of_one_name_have_files_of_their_own(opened: object) -> None:
    from earnest.apps.desktop.export import _places

    found = [place.name for place in _places(["x/a.wav", "y/a.wav", "z/a-2.wav", "z/A.wav"], Path("out"), ".csv")]
    assert found == ["a.csv", "a-2.csv", "a-2-2.csv", "A-3.csv"]
