"""How likely two rows are to have a label in common, from the probabilities of their labels."""

from __future__ import annotations

import torch
from torch import Tensor

ONE_BY_ONE = 32  # classes up to which going through them one after another is faster
LOW, TERMS = 0.15, 7  # with less, the terms of the logarithm's series that are left out come to 4e-8 a class
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
    met = ((p > LOW).sum(0) * (q > LOW).sum(0)).sum()
    if p.shape[1] <= ONE_BY_ONE or met >= DENSE * len(p) * len(q):
        none = torch.ones(len(p), len(q), dtype=p.dtype, device=p.device)
        for a, b in zip(p.t(), q.t(), strict=True):
            none.addcmul_(none, torch.outer(a, b), value=-1)
        return 1 - none
    return -torch.expm1(_log_none(p, q))


def _log_none(p: Tensor, q: Tensor) -> Tensor:
    """sum_c log(1 - p_c q_c), (m, n): -sum_k (p_c q_c)^k / k, to `TERMS`, and the rest where both are above `LOW`.

    The first term is of all classes; of hundreds, most are likely in no row of a batch, and have no other.
    """
    log = -(p @ q.t())
    most = p.amax(0) * q.amax(0)
    frequent = (most.square() > 2 * FAR / len(most)).nonzero().squeeze(1)
    p, q = p[:, frequent], q[:, frequent]
    a, b = p, q
    for k in range(2, TERMS + 1):
        a, b = (torch.threshold(power * of, NOTHING, 0.0) for power, of in ((a, p), (b, q)))
        log.addmm_(a, b.t(), alpha=-1 / k)
    rows, columns, classes = _meeting(p > LOW, q > LOW)
    x = p[rows, classes] * q[columns, classes]
    series = torch.zeros_like(x)
    for k in range(TERMS, 0, -1):
        series = (series + 1 / k) * x
    rest = torch.log1p(-x) + series
    log.view(-1).index_add_(0, rows * len(q) + columns, rest)
    return log


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
