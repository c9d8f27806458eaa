"""Random codes are random; the classifier's are those of scikit-learn's; rotations are rotations."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from crossbit.errors import UserError
from crossbit.methods import Task, View, get, make_settings
from crossbit.methods.linear import ClassifierEncoder, ClassifierSettings, RowHash, fit_classifier, random_rotation


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (9, 4), (4, 9), (1, 8)])
def test_rotations_have_orthonormal_columns_or_rows(rows, columns):
    rotation = random_rotation(rows, columns, seed=0)
    assert rotation.shape == (rows, columns)
    gram = rotation.t() @ rotation if rows >= columns else rotation @ rotation.t()
    torch.testing.assert_close(gram, torch.eye(min(rows, columns), dtype=torch.float64))
    assert not torch.equal(rotation, random_rotation(rows, columns, seed=1))


def fitted(name, x, y, labels=None, bits=32, seed=0, **settings):
    cls = get(name)
    classes = 0 if labels is None else (labels["image"] if isinstance(labels, dict) else labels).shape[1]
    method = cls(make_settings(cls, settings), Task({"image": x.shape[1], "text": y.shape[1]}, classes, bits))
    view = View({"image": x, "text": y}, labels, np.arange(len(x)), epochs=1, seed=seed)
    return method, method.train_epoch(view)


# --- random codes -----------------------------------------------------------------------------------------------------


def normal(n=2000, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_random_codes_are_fair_coins_of_every_row():
    x = normal()
    x[1::2] = x[::2]
    x[1::2, 3] += 1e-6  # hardly another row
    method, figures = fitted("random", x, x, bits=64)
    codes = {modality: method.networks[modality](x) for modality in ("image", "text")}
    assert figures == {"loss": None}
    assert set(codes["image"].unique().tolist()) == {-1.0, 1.0}
    coins = {
        "rows": codes["image"][::2] * codes["image"][1::2],
        "modalities": codes["image"] * codes["text"],
        "bits": codes["image"][:, ::2] * codes["image"][:, 1::2],
        "codes": codes["image"],
    }
    for what, values in coins.items():
        assert abs(values.mean().item()) < 5 / values.numel() ** 0.5, what
    assert codes["image"].mean(0).abs().max() < 5 / 2000**0.5


def test_random_codes_are_the_same_for_the_same_row_alone_or_among_others():
    x = normal(50)
    method, _ = fitted("random", x, x)
    encode = method.networks["image"]
    assert torch.equal(encode(x)[7:9], encode(x[7:9]))
    assert torch.equal(encode(torch.zeros(1, 6)), encode(-torch.zeros(1, 6)))
    assert not torch.equal(encode(x), fitted("random", x, x, seed=1)[0].networks["image"](x))


def test_a_row_hash_equals_python_integers():
    hashed = RowHash(3, 8)
    rng = np.random.default_rng(0)
    for parameter in hashed.parameters():
        parameter.data = torch.from_numpy(rng.integers(-(2**63), 2**63, size=parameter.shape, dtype=np.int64))
    x = normal(4, 3)
    words, (factors, offsets) = x.numpy().view(np.int32).tolist(), (hashed.factors.tolist(), hashed.offsets.tolist())
    for row, codes in zip(words, hashed(x).tolist(), strict=True):
        one = sum(word * a for word, a in zip(row, hashed.words.tolist(), strict=True)) % 2**64 // 2**32
        values = [(one**2 * factor + offset) % 2**64 for factor, offset in zip(factors, offsets, strict=True)]
        assert codes == [-1.0 if value >= 2**63 else 1.0 for value in values]


# --- the classifier ---------------------------------------------------------------------------------------------------


def labelled(n=150, classes=4, several=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.nn.functional.one_hot(torch.randint(classes, (n,), generator=generator), classes)
    if several:
        labels |= (torch.rand(n, classes, generator=generator) < 0.2).long()
    weights = torch.randn(classes, 6, generator=generator)
    x = labels.float() @ weights + torch.randn(n, 6, generator=generator)
    return 100 + 7 * x, labels.float()


@pytest.mark.parametrize("several", [False, True])
def test_probabilities_equal_those_of_scikit_learn(several):
    x, labels = labelled(several=several)
    encoder = ClassifierEncoder(6, 4, 8)
    loss = fit_classifier(encoder, x, labels, ClassifierSettings(penalty=2.0, iterations=500))
    scaled = (x - x.mean(0)).double().numpy()
    scaled /= np.sqrt((scaled**2).mean())
    model = LogisticRegression(C=0.5, tol=1e-8, max_iter=2000)
    if several:
        columns = [model.fit(scaled, labels[:, k].numpy()).predict_proba(scaled)[:, 1] for k in range(4)]
        theirs = np.stack(columns, axis=1)
        entropy = -np.where(labels == 1, np.log(theirs), np.log(1 - theirs)).sum(1).mean()
    else:
        theirs = model.fit(scaled, labels.argmax(1).numpy()).predict_proba(scaled)
        entropy = -np.log(theirs[labels.numpy() == 1]).mean()
    np.testing.assert_allclose(encoder.scores(x).numpy(), theirs, atol=2e-3)
    assert loss == pytest.approx(entropy, rel=2e-3)


def test_codes_are_of_the_centred_and_rotated_probabilities():
    x, labels = labelled()
    method, _ = fitted("classifier", x, x + 1, labels, bits=16)
    image, text = method.networks["image"], method.networks["text"]
    torch.testing.assert_close(image.rotation @ image.rotation.t(), torch.eye(4))
    assert torch.equal(image.rotation, text.rotation)
    scores = image.scores(x)
    torch.testing.assert_close(image(x), (scores - scores.mean(0)) @ image.rotation, atol=1e-5, rtol=1e-4)


def test_fewer_bits_than_classes():
    x, labels = labelled(classes=20)
    rotation = fitted("classifier", x, x, labels, bits=8)[0].networks["image"].rotation
    torch.testing.assert_close(rotation.t() @ rotation, torch.eye(8))


def test_unlabelled_samples_are_unknown_not_of_no_class():
    x, labels = labelled()
    half = labels.clone()
    half[::2] = 0
    one, _ = fitted("classifier", x, x, half)
    other, _ = fitted("classifier", x[1::2], x[1::2], labels[1::2])
    torch.testing.assert_close(one.networks["image"].scores(x), other.networks["image"].scores(x))
    nothing, figures = fitted("classifier", x, x, torch.zeros_like(labels))
    assert figures == {"loss": 0.0}
    assert (nothing.networks["image"](x) == 0).all()


def test_each_modality_learns_from_its_own_labels():
    x, labels = labelled()
    apart = {"image": labels, "text": labels.roll(1, 1)}
    method, _ = fitted("classifier", x, x, apart)
    right = {m: (method.networks[m].scores(x).argmax(1) == apart[m].argmax(1)).float().mean() for m in apart}
    assert min(right.values()) > 0.6


@pytest.mark.parametrize("n", [1, 2, 30])
def test_constant_features_and_hardly_any_rows(n):
    _, labels = labelled(n)
    constant = {"image": torch.full((n, 6), 0.1), "text": torch.zeros(n, 6)}
    method, figures = fitted("classifier", constant["image"], constant["text"], labels)
    shares = labels.mean(0)
    assert figures["loss"] == pytest.approx(-torch.special.xlogy(shares, shares).sum().item(), abs=0.01)
    for modality, x in constant.items():  # nothing to learn from but how frequent each class is
        torch.testing.assert_close(method.networks[modality].scores(x), shares.expand(n, -1), atol=0.01, rtol=0)
        codes = method.networks[modality](x)
        assert torch.equal(codes, codes[:1].expand_as(codes))
        assert codes.abs().max() < 1e-6  # and the centre is exact


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match="classifier: setting penalty"):
        make_settings(get("classifier"), {"penalty": -1})
    with pytest.raises(UserError, match="random: setting epochs"):
        make_settings(get("random"), {"epochs": 0})
