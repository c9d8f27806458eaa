"""Columns of items: what an error names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index.columns import fit, typed_columns


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.array([np.nan, 2000.0, 1.5]), "float: 1.5"),
        (np.array([np.nan, 2000.0]), "float: 2000.0"),
        ([None, "1999", "about 1990"], "str: 'about 1990'"),
    ],
)
def test_the_value_that_does_not_fit_is_named(values: Any, named: str) -> None:
    column = typed_columns({"year": values}, len(values))["year"]
    with pytest.raises(UserError, match=f"column 'year' holds int, got {named}; a column keeps its type"):
        fit("year", column, "BIGINT")
