"""How likely two rows are to have a label in common, from the probabilities of their labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor

ONE_BY_ONE = 32  # classes up to which going through them one after another is faster
LOW = 0.15  # where one of two probabilities is no more, the logarithm is a polynomial of their product
LOGARITHM = Chebyshev.interpolate(lambda x: np.log1p(-x) / x, 3, [0, LOW]).convert(kind=Polynomial).coef  # 2e-6 off
NOTHING = 1e-9  # smaller factors are left out of the higher terms: their products would be slow denormal numbers
FAR = 1e-7  # what the higher terms of the classes that are rare in both may come to, together; they are left out
DENSE = 8  # classes in which two rows both have more than LOW, on average, from which the loop is faster


def share_probability(p: Tensor, q: Tensor, *, single: bool = False) -> Tensor:
    """S (m, n): probability that two rows have a label in common.

    Of many classes, log(1 - p_c q_c) is a few matrix products, but where both are likely, which is rare.

    Args:
        p, q: (m, c) and (n, c) probabilities of their labels.
        single: a row has one label: sum_c p_c q_c; else labels are independent: 1 - prod_c (1 - p_c q_c).

    >>> p = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    >>> share_probability(p, p)
    tensor([[0.4375, 0.5000],
            [0.5000, 1.0000]])
    >>> share_probability(p, p, single=True)
    tensor([[0.5000, 0.5000],
            [0.5000, 1.0000]])
    """
    if single:
        return (p @ q.t()).clamp(0, 1)
    none = _none_of_few(p, q) if p.shape[1] <= ONE_BY_ONE else _none_of_many(p, q)
    return 1 - none


def _none_of_few(p: Tensor, q: Tensor) -> Tensor:
    """prod_c (1 - p_c q_c), (m, n), class by class."""
    none = torch.ones(len(p), len(q), dtype=p.dtype, device=p.device)
    for a, b in zip(p.t(), q.t(), strict=True):
        none.addcmul_(none, torch.outer(a, b), value=-1)
    return none


def _none_of_many(p: Tensor, q: Tensor) -> Tensor:
    """prod_c (1 - p_c q_c), (m, n): its logarithm is a polynomial of p_c q_c, and the rest where both are above `LOW`.

    The first term is of all classes; of hundreds, most are likely in no row of a batch, and have no other.
    """
    most = p.amax(0) * q.amax(0)
    frequent = (most.square() > 2 * FAR / len(most)).nonzero().squeeze(1)
    x, y = p.index_select(1, frequent), q.index_select(1, frequent)
    likely, also = x > LOW, y > LOW
    if (likely.sum(0) * also.sum(0)).sum() >= DENSE * len(p) * len(q):
        return _none_of_few(p, q)
    log = LOGARITHM[0] * (p @ q.t())
    a, b = x, y
    for factor in LOGARITHM[1:]:
        a, b = (torch.threshold(power * of, NOTHING, 0.0) for power, of in ((a, x), (b, y)))
        log.addmm_(a, b.t(), alpha=factor)
    rows, columns, classes = _meeting(likely, also)
    both = x[rows, classes] * y[columns, classes]
    terms = torch.zeros_like(both)
    for factor in LOGARITHM[::-1]:
        terms = (terms + factor) * both
    log.view(-1).index_add_(0, rows * len(q) + columns, torch.log1p(-both) - terms)
    return log.exp()


def _meeting(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row of a (m, c), row of b (n, c) and class, for every pair of rows and class that are True in both.

    >>> _meeting(torch.tensor([[True, False], [True, True]]), torch.tensor([[True, False]]))
    (tensor([0, 1]), tensor([0, 0]), tensor([0, 0]))
    """
    classes, left = a.t().nonzero(as_tuple=True)
    of, right = b.t().nonzero(as_tuple=True)  # by class
    counts = torch.bincount(of, minlength=a.shape[1])
    times = counts[classes]
    each = torch.arange(len(left), device=a.device).repeat_interleave(times)
    within = torch.arange(len(each), device=a.device) - (times.cumsum(0) - times)[each]
    first = (counts.cumsum(0) - counts)[classes[each]]
    return left[each], right[first + within], classes[each]
