"""What a user can mend keeps its own words, also where damaged bytes are caught."""

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.storage.npz import BROKEN, read_array, read_npz, write_npz


def test_an_error_with_its_own_words_is_not_called_damage(tmp_path):
    def refuse() -> np.ndarray:
        raise UserError("label holds -1; it may hold only 0 and 1")

    with pytest.raises(UserError, match=r"^label holds -1"):
        read_array("x.npz", refuse)

    write_npz(tmp_path / "x.npz", {"a": np.arange(3)})

    def unwanted(name: str) -> bool:
        raise UserError(f"{name} is not wanted")

    with pytest.raises(UserError, match=r"^a is not wanted$"):
        read_npz(tmp_path / "x.npz", "a file", "give an .npz", wanted=unwanted)


def test_no_error_that_reading_raises_is_one_of_a_users():
    assert not issubclass(UserError, BROKEN)
