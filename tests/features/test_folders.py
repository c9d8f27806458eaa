"""Features by models in folders: tiny ones with random weights, made by transformers and sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.features import featuriser_from_state, fit_featuriser, folders
from crossbit.features.paired import choose_features, fit_featurisers

TEXTS = ["red fox", "green car", "old tree", "red car"]
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), dtype=np.uint8)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "old", "fox", "car", "tree"]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def save_tokens(folder: Path) -> None:
    from transformers import BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


@pytest.fixture
def clip(tmp_path: Path, need: Callable[[str], Any]) -> Path:
    transformers, folder = need("transformers"), tmp_path / "clip model"
    folder.mkdir()
    text = {**SIZES, "vocab_size": len(WORDS), "max_position_embeddings": 12, "eos_token_id": 3, "bos_token_id": 2}
    vision = {**SIZES, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(folder)
    save_tokens(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path, need: Callable[[str], Any]) -> Path:
    transformers, folder = need("transformers"), tmp_path / "bert"
    need("sentence_transformers")
    folder.mkdir()
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**SIZES, vocab_size=len(WORDS))).save_pretrained(folder)
    save_tokens(folder)
    return folder


@pytest.mark.slow
def test_both_halves_of_a_clip_model(clip: Path) -> None:
    rows = {"train": [0, 1, 2, 3], "query": [], "retrieval": [0, 1, 2, 3]}
    data = PairedData("toy", {"image": PICTURES, "text": np.array(TEXTS)}, None, rows)
    names = choose_features(data, ["image", "text"], {"image": f"clip:{clip}", "text": f"clip:{clip}"})
    assert names == {"image": f"clip:{clip}", "text": f"clip-text:{clip}"}
    fitted = fit_featurisers(data, names, seed=0)
    for modality, featuriser in fitted.items():
        made = featuriser.transform(data[modality])
        assert made.shape == (4, 8) and (made.std(0) > 0).all()
        alone = [featuriser.transform(data[modality][row : row + 1]) for row in range(4)]
        np.testing.assert_array_equal(np.concatenate(alone), made)
        config, tensors = featuriser.state()
        again = featuriser_from_state(json.loads(json.dumps(config)), tensors)
        np.testing.assert_array_equal(again.transform(data[modality][:1]), made[:1])


@pytest.mark.slow
def test_it_computes_what_transformers_computes(clip: Path) -> None:
    import transformers

    from crossbit.features.clip import DEVIATION, MEAN, ClipFeaturiser, ClipTextFeaturiser

    model = transformers.CLIPModel.from_pretrained(clip).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(clip)("red fox", return_tensors="pt")
    picture = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    values = torch.from_numpy(((picture / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        expected = [
            model.get_text_features(**tokens).pooler_output,
            model.get_image_features(pixel_values=values).pooler_output,
        ]
    made = [ClipTextFeaturiser.opened(str(clip)).transform(["red fox"])]
    made.append(ClipFeaturiser.opened(str(clip)).transform(picture))
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, torch.nn.functional.normalize(theirs).numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_long_text_is_cut(clip: Path) -> None:
    fitted = fit_featuriser(f"clip-text:{clip}", TEXTS)
    assert np.isfinite(fitted.transform(["red fox " * 50, ""])).all()


@pytest.mark.slow
def test_a_plain_transformer_is_averaged_over_its_words(bert: Path) -> None:
    import transformers

    from crossbit.features.sentence import SentenceFeaturiser

    own = SentenceFeaturiser.opened(str(bert)).transform(["red fox"])
    tokens = transformers.AutoTokenizer.from_pretrained(bert)("red fox", return_tensors="pt")
    with torch.no_grad():
        expected = transformers.BertModel.from_pretrained(bert).eval()(**tokens).last_hidden_state.mean(1)
    np.testing.assert_allclose(own, expected.numpy(), atol=1e-6)
    assert fit_featuriser(f"sentence:{bert}", TEXTS).transform(TEXTS).shape == (4, 16)


@pytest.mark.slow
def test_another_model_in_the_folder_is_refused(bert: Path) -> None:
    config, tensors = fit_featuriser(f"sentence:{bert}", TEXTS).state()
    weights = bert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x00\x3f")
    with pytest.raises(UserError, match="have other weights"):
        featuriser_from_state(config, tensors)
    weights.unlink()
    with pytest.raises(UserError, match="holds no weights"):
        featuriser_from_state(config, tensors)


def test_what_is_no_folder_and_no_name(tmp_path: Path) -> None:
    for wrong in (str(tmp_path / "none"), "./none", "~/none here", "a/b/c"):
        with pytest.raises(UserError, match="features clip: there is no folder"):
            folders.folder_of("features clip", wrong, fetch=True)


def test_a_name_is_fetched_only_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, need: Callable[[str], Any]
) -> None:
    hub, asked = need("huggingface_hub"), []

    def absent(name: str, *, local_files_only: bool, allow_patterns: list[str]) -> str:
        asked.append(local_files_only)
        raise OSError("nothing there\nand more")

    monkeypatch.setattr(hub, "snapshot_download", absent)
    for fetch, expected in ((False, [True]), (True, [True, False])):
        asked.clear()
        with pytest.raises(UserError, match=r"owner/model is neither a folder here nor to be had .*: nothing there$"):
            folders.folder_of("features clip", "owner/model", fetch=fetch)
        assert asked == expected
