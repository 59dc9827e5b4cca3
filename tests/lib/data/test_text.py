"""Text: labels are the next tokens, the vocabulary is the batch's, and the held-out part is apart from it."""

from __future__ import annotations

import os

import pytest
import torch

from optbias import data
from optbias.data import DataError, MissingFile, Split
from optbias.data.text import END, UNKNOWN

TRAIN = " the cat <unk> on N mats \n the dog sat on a log \n a cat and a dog <unk> \n" * 40
VALID = " a mouse sat on the mat \n the zebra sat \n" * 40
PLAYS = "KING:\nSpeak, speak, and be heard; the day is long.\n\nALL:\nWe speak, and the day is heard.\n\n" * 60

shared = pytest.mark.skipif(not os.environ.get("OPTBIAS_DATA"), reason="OPTBIAS_DATA names no folder with the texts")


@pytest.fixture
def folder(tmp_path):
    """Small files of the real names and the real form."""
    (tmp_path / "ptb").mkdir()
    (tmp_path / "ptb" / "ptb.train.txt").write_text(TRAIN)
    (tmp_path / "ptb" / "ptb.valid.txt").write_text(VALID)
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text(PLAYS)
    return tmp_path


def words(split: Split, tokens: torch.Tensor) -> list[str]:
    return [split.vocabulary[i] for i in tokens.flatten().tolist()]


def holds(split: Split) -> None:
    """What every split of text keeps."""
    for inputs, labels in ((split.inputs, split.labels), (split.test_inputs, split.test_labels)):
        assert inputs.shape == labels.shape
        assert inputs.dtype == labels.dtype == torch.int64
        assert torch.equal(inputs[:, 1:], labels[:, :-1])
        assert min(inputs.min(), labels.min()) >= 0
        assert max(inputs.max(), labels.max()) < split.classes
    # Consecutive pieces: the last label of one is the first input of the next.
    assert torch.equal(split.labels[:-1, -1], split.inputs[1:, 0])
    # No token of the vocabulary is absent from the training part.
    assert len(set(split.inputs.flatten().tolist()) | set(split.labels.flatten().tolist())) == split.classes
    assert len(split.vocabulary) == len(set(split.vocabulary)) == split.classes == split.facts["vocabulary"]
    assert split.facts["lossy"] is False
    assert split.facts["tokens"] == split.inputs.numel()
    assert split.facts["held_out_sequences"] == len(split.test_inputs)


def test_penn_treebank_words(folder):
    split = data.penn_treebank(sequences=4, context=5, held_out=3, folder=folder, verify=False)
    holds(split)
    expected = TRAIN.replace("\n", END).split()
    assert words(split, split.inputs) == expected[:20]
    assert words(split, split.labels) == expected[1:21]
    held_out = ["a", UNKNOWN, "sat", "on", "the"]
    assert words(split, split.test_inputs)[:5] == held_out
    assert split.facts["checksum"] == "not verified"
    assert "LDC" in split.source


def test_penn_treebank_characters(folder):
    split = data.penn_treebank("character", sequences=6, context=8, held_out=4, folder=folder, verify=False)
    holds(split)
    assert "".join(words(split, split.inputs)) == TRAIN[:48]
    # 'r' and 'z' of "zebra" are missing here: what contains them is skipped, and the next piece begins after it.
    assert "z" in VALID
    assert "z" not in split.vocabulary
    pieces = ["".join(words(split, row)) for row in split.test_inputs]
    starts = [VALID.index(piece) for piece in pieces]
    assert all(piece == VALID[start : start + 8] for piece, start in zip(pieces, starts, strict=True))
    assert split.facts["held_out_tokens_skipped"] > 0


def test_shakespeare(folder):
    split = data.shakespeare(sequences=10, context=12, folder=folder, verify=False)
    holds(split)
    assert "".join(words(split, split.inputs)) == PLAYS[:120]
    start = len(PLAYS) * 9 // 10
    assert "".join(words(split, split.test_inputs[:1])) == PLAYS[start : start + 12]
    by_word = data.shakespeare("word", sequences=10, context=12, folder=folder, verify=False)
    holds(by_word)
    assert words(by_word, by_word.inputs)[:4] == ["KING:", END, "Speak,", "speak,"]


def test_the_whole_text(folder):
    split = data.penn_treebank(sequences=None, context=7, folder=folder, verify=False)
    holds(split)
    count = len(TRAIN.replace("\n", END).split())
    assert len(split.inputs) == (count - 1) // 7


def test_any_text_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(" ".join(f"word{i % 7}" for i in range(300)) + " once " + "word1 word2 word9 " * 40)
    split = data.text_file(path, sequences=50, context=6)
    holds(split)
    assert split.name == "mine.txt, words"
    assert UNKNOWN in split.vocabulary  # "once" occurs once, and stands for all unknown words
    assert "once" not in split.vocabulary
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match=r"mine.txt is not a text in UTF-8"):
        data.text_file(path)


@pytest.mark.parametrize("level", ["word", "character"])
def test_generated_text(level):
    split = data.generated_text(level)
    holds(split)
    assert split.inputs.shape == (32, 16)
    assert split.test_inputs.shape == (32, 16)
    assert "generated" in split.source
    again, other = data.generated_text(level), data.generated_text(level, seed=1)
    assert torch.equal(split.inputs, again.inputs)
    assert torch.equal(split.test_inputs, again.test_inputs)
    assert words(split, split.inputs) != words(other, other.inputs)
    longer = data.generated_text(level, sequences=200)
    holds(longer)
    assert words(longer, longer.inputs)[:512] == words(split, split.inputs)


def test_generated_text_is_like_text():
    """Zipf: few words make most of the text. And there is something to learn: a word tells about the next one."""
    split = data.generated_text(sequences=2000, context=16)
    tokens = split.inputs.flatten()
    counts = torch.bincount(tokens, minlength=split.classes).double().sort(descending=True).values
    frequency = counts / counts.sum()
    assert frequency[:10].sum() > 0.25
    assert (counts < 10).double().mean() > 0.1
    entropy = -(frequency * frequency.log()).sum()
    pairs = torch.bincount(tokens[:-1] * split.classes + tokens[1:]).double()
    joint = pairs[pairs > 0] / pairs.sum()
    conditional = -(joint * joint.log()).sum() - entropy
    assert conditional < 0.7 * entropy
    assert conditional > 0.3 * entropy
    unknown = frequency[(counts == counts.max()).nonzero()[0]]
    assert unknown < 0.2


def test_generated_text_is_pinned():
    """The text that recorded runs used is the text of every later version."""
    split = data.generated_text()
    assert split.classes == 198
    assert " ".join(words(split, split.inputs[0])) == (
        "ma diba ma na nuba <unk> li va zafa ra rafa <unk> <unk> lo va siga"
    )


def test_a_held_out_part_without_a_known_piece(tmp_path):
    path = tmp_path / "two.txt"
    path.write_text("a b c d " * 90 + "e f g h " * 10)
    with pytest.raises(ValueError, match="each piece of the held-out part has a token that the training part lacks"):
        data.text_file(path, sequences=10)


@shared
def test_real_penn_treebank():
    split = data.penn_treebank()
    holds(split)
    assert (split.classes, split.inputs.shape) == (247, (32, 16))
    assert split.facts["checksum"].startswith("sha256:fcea919f")
    whole = data.penn_treebank(sequences=None, context=64)
    assert whole.classes == 10_000
    assert whole.inputs.numel() == 929_589 // 64 * 64


@shared
def test_real_shakespeare():
    split = data.shakespeare(sequences=1024, context=32)
    holds(split)
    assert split.inputs.numel() == 32_768
    assert data.shakespeare(sequences=None).classes <= 65


def test_missing_files(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPTBIAS_DATA", raising=False)
    with pytest.raises(MissingFile, match="ptb.train.txt is in none of"):
        data.penn_treebank()
    with pytest.raises(MissingFile, match="input.txt is in none of"):
        data.shakespeare(folder=tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda f: data.penn_treebank("sentence", folder=f),
            "level must be one of 'word', 'character'; got 'sentence'",
        ),
        (lambda f: data.penn_treebank(context=0, folder=f, verify=False), "context must be a whole number >= 1; got 0"),
        (lambda f: data.penn_treebank(held_out=0, folder=f, verify=False), "held_out must be a whole number"),
        (lambda f: data.penn_treebank(sequences=True, folder=f, verify=False), "sequences must be .*; got True"),
        (lambda f: data.penn_treebank(sequences=1000, folder=f, verify=False), "need 16001 tokens; the text has"),
        (lambda f: data.shakespeare("word", context=-1, folder=f, verify=False), "context must be"),
        (lambda f: data.generated_text("sentence"), "level must be one of"),
        (lambda f: data.generated_text(sequences=None), "sequences must be a whole number >= 1; got None"),
        (lambda f: data.generated_text(words=0), "words must be"),
        (lambda f: data.generated_text(seed=-1), "seed must be"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_arguments(folder, call, message):
    with pytest.raises(ValueError, match=message):
        call(folder)
