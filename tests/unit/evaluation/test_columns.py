import numpy as np
import pytest

from earnest.evaluation.columns import (
    Categories,
    Encoder,
    GrowingArray,
    Texts,
    joined_categories,
    joined_texts,
    taken,
)

WORDS = ["ann", "ben", "", "ann", "é\n,\x00"]


@pytest.mark.parametrize("kind", [Texts, Categories.of])
def test_a_column_is_a_sequence_of_its_texts(kind):
    column = kind(WORDS)
    assert list(column) == WORDS
    assert column == tuple(WORDS)
    assert column != [*WORDS[:-1], "other"]
    assert column != WORDS[:-1]
    assert (len(column), column[1], column[-1]) == (5, "ben", WORDS[-1])
    assert column[1:3] == ["ben", ""]
    assert column.take(np.array([3, 1])) == ["ann", "ben"]
    assert isinstance(column[0], str)
    assert "ben" in column
    assert repr(column).endswith("('ann', 'ben', '', …)")


def test_equal_texts_share_a_code_and_come_in_order_of_appearance():
    column = Categories.of(WORDS)
    assert column.codes.tolist() == [0, 1, 2, 0, 3]
    assert column.codes.dtype == np.int32
    assert column.take(np.array([4, 1, 1])).present() == [WORDS[4], "ben"]


def test_rows_and_positions_of_a_text():
    column = Categories.of(WORDS)
    assert column.rows_with("ann").tolist() == [0, 3]
    assert column.rows_with("nobody").tolist() == []
    assert column.numbered(["ben", "ann"], other=-7).tolist() == [1, 0, -7, 1, -7]


def test_no_rows_have_no_positions():
    assert Categories.of([]).numbered(["ben"]).tolist() == []


def test_columns_below_each_other_keep_their_texts():
    first, second = Categories.of(["b", "a"]), Categories.of(["a", "c"])
    both = joined_categories([first, second])
    assert both == ["b", "a", "a", "c"]
    assert both.values == ("b", "a", "c")
    assert joined_texts([Texts(["b"]), Texts(["a" * 40, "c"])]) == ["b", "a" * 40, "c"]


def test_an_encoder_goes_on_where_it_stopped():
    encoder = Encoder()
    assert encoder.codes(["x", "y"]).tolist() == [0, 1]
    assert encoder.codes([*["y", "z"] * 100, "x"]).tolist() == [*[1, 2] * 100, 0]
    assert encoder.values == ("x", "y", "z")


def test_a_growing_array_holds_all_its_pieces():
    pieces = np.split(np.arange(40.0).reshape(20, 2), [1, 4, 15])
    growing = GrowingArray(pieces[0])
    for piece in pieces:
        growing.add(piece)
    np.testing.assert_array_equal(growing.array(), np.arange(40.0).reshape(20, 2))


def test_rows_are_taken_of_columns_and_arrays_alike():
    found = taken({"who": Texts(["a", "b"]), "n": np.array([1, 2]), "none": None}, np.array([1]))
    assert found["who"] == ["b"]
    assert found["n"].tolist() == [2]
    assert "none" not in found
