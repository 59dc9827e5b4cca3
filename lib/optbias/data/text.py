"""Text for language models: consecutive pieces of one text, each token's label the token after it.

The vocabulary is made of the tokens of the training part and of nothing else. A token that the training
part lacks would have an embedding with gradient zero throughout, and the largest parameter of the network would
stay what it was at the start: a trap for every measurement of a maximum norm.
"""

from __future__ import annotations

import bisect
import collections
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from optbias import _checks
from optbias.data.download import FILES, DataError, RemoteFile, describe, locate
from optbias.data.split import Split
from optbias.seeding import generator

LEVELS = ("word", "character")
"""What a token is. At level ``word`` a line's end is the token ``<eos>``."""

UNKNOWN, END = "<unk>", "<eos>"
"""The tokens for a word that is not in the vocabulary, and for the end of a line."""


def penn_treebank(
    level: str = "word",
    *,
    sequences: int | None = 32,
    context: int = 16,
    held_out: int = 32,
    folder: str | os.PathLike[str] | None = None,
    download: bool = False,
    verify: bool = True,
) -> Split:
    """The beginning of the Penn Treebank in Mikolov's preprocessing: 929,589 words with ``<eos>``, 10,000 different.

    ``sequences`` pieces of ``context`` tokens (None: as many as there are) from ``ptb.train.txt``, and
    ``held_out`` pieces from the beginning of ``ptb.valid.txt``. The defaults are the first 513 words: 512
    inputs, 247 different words. The files come from ``folder``, ``OPTBIAS_DATA`` or the cache, or with
    ``download=True`` from their public address (:mod:`optbias.data.download`).

    Sources: Marcus, Santorini and Marcinkiewicz, Computational Linguistics 19 (1993); Mikolov et al.,
    Interspeech 2010. Raises ValueError for bad sizes and :class:`~optbias.data.DataError` for missing files.

    >>> from optbias.data import MissingFile
    >>> try:
    ...     tokens = penn_treebank(sequences=8, context=4).inputs  # (8, 4)
    ... except MissingFile:  # it is not here, and nothing is fetched without download=True
    ...     tokens = None
    """
    train, valid = FILES["ptb-train"], FILES["ptb-valid"]
    _checks.one_of("level", level, LEVELS)
    tokens, held_out_tokens = (
        _tokens(_read(locate(file, folder, download=download, verify=verify)), level) for file in (train, valid)
    )
    source = "Penn Treebank, Mikolov's preprocessing (the text is the LDC's)"
    facts = _file(train, verify)
    return _split("penn-treebank", level, tokens, held_out_tokens, sequences, context, held_out, source, facts)


def shakespeare(
    level: str = "character",
    *,
    sequences: int | None = 32,
    context: int = 32,
    held_out: int = 32,
    folder: str | os.PathLike[str] | None = None,
    download: bool = False,
    verify: bool = True,
) -> Split:
    """Tiny Shakespeare: 1,115,394 characters of the plays, 65 different.

    The training part begins at the beginning of the text, the held-out part at nine tenths of it. At level
    ``word`` a word that occurs only once in the whole text becomes ``<unk>``. The other arguments are those of
    :func:`penn_treebank`. Source: A. Karpathy, char-rnn (2015).

    >>> from optbias.data import MissingFile
    >>> try:
    ...     tokens = shakespeare(sequences=8, context=4).inputs  # (8, 4)
    ... except MissingFile:  # it is not here, and nothing is fetched without download=True
    ...     tokens = None
    """
    file = FILES["shakespeare"]
    _checks.one_of("level", level, LEVELS)
    parts = _two_parts(_read(locate(file, folder, download=download, verify=verify)), level)
    source = "Tiny Shakespeare (public domain)"
    return _split("shakespeare", level, *parts, sequences, context, held_out, source, _file(file, verify))


def text_file(
    path: str | os.PathLike[str],
    level: str = "word",
    *,
    sequences: int | None = 32,
    context: int = 16,
    held_out: int = 32,
) -> Split:
    """Any text in UTF-8: the training part from its beginning, the held-out part from nine tenths of it.

    A word that occurs only once in the whole text becomes ``<unk>``, as in the Penn Treebank, so that unknown words
    of the held-out part have a token. The other arguments are those of :func:`penn_treebank`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "mine.txt")
    ...     _ = file.write_text("to be or not to be " * 40)
    ...     split = text_file(file, "word", sequences=4, context=5, held_out=1)
    >>> split.classes, split.inputs.shape
    (4, torch.Size([4, 5]))
    """
    path = Path(path)
    _checks.one_of("level", level, LEVELS)
    parts, source = _two_parts(_read(path), level), f"the file {path.name}"
    return _split(path.name, level, *parts, sequences, context, held_out, source, {"file": path.name})


def generated_text(
    level: str = "word",
    *,
    sequences: int = 32,
    context: int = 16,
    held_out: int = 32,
    words: int = 1000,
    seed: int = 0,
) -> Split:
    """A pseudo-language that the course makes up itself, so that text experiments run where no text is at hand.

    It means nothing, and it is not English: word ``r < 1.5 * words`` has a probability proportional to
    ``1/(r + 2.7)`` (Zipf's law with Mandelbrot's offset) and is written ``<unk>`` from ``r = words`` on. After a
    word comes one of its four favourites with probability 0.7, else a fresh word; a sentence ends after each word
    with probability 1/12. ``seed`` fixes the language and the text; a longer text begins with the shorter one.
    The other arguments are those of :func:`penn_treebank`.

    >>> split = generated_text(sequences=8, context=4, held_out=2)
    >>> split.inputs.shape, split.labels.shape
    (torch.Size([8, 4]), torch.Size([8, 4]))
    """
    _checks.one_of("level", level, LEVELS)
    for name, value in {"sequences": sequences, "context": context, "held_out": held_out, "words": words}.items():
        _whole(name, value)
    train = sequences * context + 1
    # At level "character" a word and the space after it have at least three characters; a piece of the
    # held-out part may be left out, so there is more of it than is needed.
    amount = train + 4 * (held_out * context + 1)
    text = _babble(amount, words, seed)
    tokens = _tokens(text, level)
    source = "generated by optbias.data.generated_text (a pseudo-language, not English)"
    facts = {"words": words, "seed": seed}
    return _assembled("generated-text", level, tokens[:train], tokens[train:], context, held_out, source, facts)


def _babble(amount: int, words: int, seed: int) -> str:
    """At least ``amount`` words and line ends."""
    rank = torch.arange(words * 3 // 2, dtype=torch.float64)
    zipf = (1 / (rank + 2.7)).cumsum(0)
    cumulative = (zipf / zipf[-1]).tolist()
    random = generator(seed)
    favourites = torch.rand(words + 1, 4, generator=random, dtype=torch.float64).tolist()
    favourite = [[min(bisect.bisect(cumulative, u), words) for u in row] for row in favourites]
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    syllables = [c + v for v in vowels for c in consonants]
    spelled = [_spelled(r, syllables) for r in range(words)] + [UNKNOWN]
    pieces: list[str] = []
    word = words
    for _ in range(math.ceil(amount / 1024)):  # in blocks of one size, so that a longer text begins as a shorter one
        for end, follow, which, fresh in torch.rand(1024, 4, generator=random, dtype=torch.float64).tolist():
            if pieces and pieces[-1] != "\n" and end < 1 / 12:
                pieces.append("\n")
                continue
            word = favourite[word][int(4 * which)] if follow < 0.7 else min(bisect.bisect(cumulative, fresh), words)
            pieces.append(spelled[word])
    return " ".join(pieces)


def _spelled(rank: int, syllables: Sequence[str]) -> str:
    # Frequent words are short: one syllable, then two, then three.
    length = 1
    while rank >= len(syllables) ** length:
        rank -= len(syllables) ** length
        length += 1
    return "".join(syllables[rank // len(syllables) ** i % len(syllables)] for i in range(length))


def _whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1; got {value!r}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text in UTF-8: {error}") from None


def _file(file: RemoteFile, verify: bool) -> Mapping[str, Any]:
    return describe(file, verify)


def _tokens(text: str, level: str) -> list[str]:
    return list(text) if level == "character" else text.replace("\n", f" {END} ").split()


def _two_parts(text: str, level: str) -> tuple[list[str], list[str]]:
    """The first nine tenths of a text and the rest; a word that occurs once in the whole of it becomes ``<unk>``."""
    tokens = _tokens(text, level)
    if level == "word":
        times = collections.Counter(tokens)
        tokens = [token if times[token] > 1 else UNKNOWN for token in tokens]
    cut = len(tokens) * 9 // 10
    return tokens[:cut], tokens[cut:]


def _split(
    name: str,
    level: str,
    tokens: Sequence[str],
    held_out_tokens: Sequence[str],
    sequences: int | None,
    context: int,
    held_out: int,
    source: str,
    facts: Mapping[str, Any],
) -> Split:
    _whole("context", context)
    _whole("held_out", held_out)
    if sequences is None:
        sequences = (len(tokens) - 1) // context
    _whole("sequences", sequences)
    needed = sequences * context + 1
    if len(tokens) < needed:
        raise ValueError(f"{sequences} sequences of {context} need {needed} tokens; the text has {len(tokens)}")
    return _assembled(name, level, tokens[:needed], held_out_tokens, context, held_out, source, facts)


def _assembled(
    name: str,
    level: str,
    tokens: Sequence[str],
    held_out_tokens: Sequence[str],
    context: int,
    held_out: int,
    source: str,
    facts: Mapping[str, Any],
) -> Split:
    """The split of the tokens of the training part and enough tokens for the held-out part."""
    vocabulary = tuple(sorted(set(tokens)))
    number = {token: i for i, token in enumerate(vocabulary)}
    train = torch.tensor([number[token] for token in tokens])
    # A word that the training part lacks is written <unk> if there is such a word; otherwise the piece that
    # contains it is left out, and the next one begins after it.
    unknown = number.get(UNKNOWN, -1)
    pieces: list[list[int]] = []
    start = skipped = 0
    while len(pieces) < held_out and start + context < len(held_out_tokens):
        piece = [number.get(token, unknown) for token in held_out_tokens[start : start + context + 1]]
        if -1 in piece:
            after = len(piece) - piece[::-1].index(-1)
            start, skipped = start + after, skipped + after
        else:
            pieces.append(piece)
            start += context
    if not pieces:
        raise ValueError("each piece of the held-out part has a token that the training part lacks: use more sequences")
    test = torch.tensor(pieces)
    kept = {
        "level": level,
        "tokens": len(train) - 1,
        "context": context,
        "vocabulary": len(vocabulary),
        "held_out_sequences": len(pieces),
        "held_out_tokens_skipped": skipped,
        "lossy": False,
    }
    return Split(
        f"{name}, {level}s",
        len(vocabulary),
        train[:-1].view(-1, context),
        train[1:].view(-1, context),
        test[:, :-1],
        test[:, 1:],
        source,
        {**facts, **kept},
        vocabulary,
    )
