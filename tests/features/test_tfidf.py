"""tf-idf without scikit-learn is what scikit-learn computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from crossbit.features.tfidf import Tfidf, pieces_of

texts = st.lists(st.text("abcÄé狐 \t\n\u00a0", max_size=30), min_size=1, max_size=8)


@pytest.mark.filterwarnings("ignore:The parameter 'ngram_range' will not be used")
@given(texts, texts)
def test_rows_are_those_of_scikit_learn(fitted: list[str], asked: list[str]) -> None:
    for analyzer, analyze in (("char_wb", pieces_of), (str.split, str.split)):
        theirs = TfidfVectorizer(
            analyzer=analyzer, ngram_range=(3, 4), lowercase=False, sublinear_tf=True, dtype=np.float32
        )
        try:
            theirs.fit(fitted)
        except ValueError:  # not a word in it
            continue
        ours = Tfidf(theirs.get_feature_names_out().tolist(), theirs.idf_, analyze)
        made = ours.transform(asked)
        assert (made.dtype, made.shape) == (np.float32, theirs.transform(asked).shape)
        np.testing.assert_allclose(made.toarray(), theirs.transform(asked).toarray(), rtol=1e-6, atol=0)


@given(st.text())
def test_pieces_are_those_of_scikit_learn(text: str) -> None:
    analyze = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), lowercase=False).build_analyzer()
    assert pieces_of(text) == analyze(text)


def test_no_text_gives_no_row() -> None:
    assert Tfidf(["fox"], np.ones(1, np.float32), str.split).transform([]).shape == (0, 1)
