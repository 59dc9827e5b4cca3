"""Files: where they are looked for, how they come from a server that misbehaves, and what is never left behind."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from optbias.data import DataError, MissingFile, download
from optbias.data.__main__ import main
from optbias.data.download import FILES, RemoteFile, describe, fetch, locate

BODY = bytes(i * 31 % 251 for i in range(700_000))
"""More than two chunks, so that a transfer can end in the middle."""


class Server(http.server.ThreadingHTTPServer):
    """A file server on 127.0.0.1 with HTTP Range that can be told to misbehave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.cut_after: list[int] = []  # bytes after which each coming answer breaks off
        self.ranges = True
        self.status = 0
        self.asked: list[str] = []  # the Range header of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range", "")
        server.asked.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        rest = server.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: server.cut_after.pop(0)] if server.cut_after else rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPTBIAS_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def remote(server: Server, body: bytes = BODY, algorithm: str = "sha256") -> RemoteFile:
    return RemoteFile("file.bin", server.url, f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}", len(body))


def left_behind(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_fetch(server, cache, algorithm):
    file = remote(server, algorithm=algorithm)
    path = fetch(file, progress=False)
    assert path.read_bytes() == BODY
    assert path.parent == cache
    assert left_behind(cache) == ["file.bin"]
    assert fetch(file, progress=False) == path
    assert server.asked == [""]  # the second time nothing was asked for


def test_an_interrupted_transfer_goes_on_from_where_it_was(server, cache):
    server.cut_after = [300_000, 200_000]
    assert fetch(remote(server), progress=False).read_bytes() == BODY
    starts = [int(asked[6:-1]) if asked else 0 for asked in server.asked]
    assert starts == [0, 300_000, 500_000]
    assert left_behind(cache) == ["file.bin"]


def test_the_next_call_goes_on_too(server, cache):
    server.cut_after = [300_000]
    with pytest.raises(DataError, match=r"300,000 of 700,000 bytes after 1 attempts .*the next call goes on"):
        fetch(remote(server), attempts=1, progress=False)
    assert left_behind(cache) == ["file.bin.part"]
    fetch(remote(server), progress=False)
    assert server.asked == ["", "bytes=300000-"]


def test_a_server_without_ranges_starts_again(server, cache):
    server.ranges, server.cut_after = False, [300_000]
    assert fetch(remote(server), progress=False).read_bytes() == BODY
    assert server.asked == ["", "bytes=300000-"]


def test_a_file_that_stays_truncated_is_refused(server, cache):
    server.body = BODY[:650_000]
    with pytest.raises(DataError, match="did not arrive whole: .* of 700,000 bytes after 4 attempts"):
        fetch(remote(server), progress=False)
    assert left_behind(cache) in ([], ["file.bin.part"])


def test_a_wrong_checksum_is_refused_and_deleted(server, cache):
    file = remote(server, body=BODY[:-1] + b"?")
    with pytest.raises(DataError, match=r"should have the checksum sha256:\w+ and has sha256:\w+\. What .* deleted"):
        fetch(file, progress=False)
    assert left_behind(cache) == []
    assert len(server.asked) == 1


def test_a_longer_file_is_refused(server, cache):
    server.body = BODY + b"more" * 1000
    with pytest.raises(DataError, match="should have 700,000 bytes and has 700,001"):
        fetch(remote(server), progress=False)
    assert left_behind(cache) == []


def test_a_beginning_of_something_else_is_dropped(server, cache):
    cache.mkdir()
    (cache / "file.bin.part").write_bytes(b"x" * 400_000)
    assert fetch(remote(server), progress=False).read_bytes() == BODY
    assert server.asked == ["bytes=400000-", ""]
    (cache / "file.bin").unlink()
    (cache / "file.bin.part").write_bytes(b"x" * 900_000)
    assert fetch(remote(server), progress=False).read_bytes() == BODY


def test_a_server_that_is_shorter_than_the_beginning(server, cache):
    cache.mkdir()
    (cache / "file.bin.part").write_bytes(b"x" * 690_000)
    server.body = BODY[:650_000]
    with pytest.raises(DataError, match="did not arrive whole"):
        fetch(remote(server), progress=False)
    assert server.asked[0] == "bytes=690000-"
    assert server.asked[1] == ""


@pytest.mark.parametrize("status", [404, 403])
def test_refusals_are_final(server, cache, status):
    server.status = status
    with pytest.raises(DataError, match=f"answered {status} .*put file.bin into a folder"):
        fetch(remote(server), progress=False)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, cache):
    server.status = 503
    with pytest.raises(DataError, match="after 4 attempts .the server answered 503"):
        fetch(remote(server), progress=False)
    assert len(server.asked) == 4


def test_no_server(server, cache):
    file = replace(remote(server), url="http://127.0.0.1:9/file.bin")
    with pytest.raises(DataError, match=r"no connection to http://127.0.0.1:9/file.bin .*Without a network: put"):
        fetch(file, progress=False)
    assert left_behind(cache) == []


def test_several_at_once_fetch_once(server, cache):
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(remote(server), progress=False))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert server.asked == [""]


def test_only_http(cache):
    with pytest.raises(DataError, match="no public address"):
        fetch(RemoteFile("a", "file:///etc/passwd", "sha256:0", 1))


def test_order_of_places(server, cache, tmp_path, monkeypatch):
    file = replace(remote(server), folders=("", "sub"))
    with pytest.raises(MissingFile, match=r"file.bin is in none of: .*cache.*\. name a folder|name a folder"):
        locate(file)
    fetched = locate(file, download=True)
    assert fetched == cache / "sub" / "file.bin"
    named = tmp_path / "named"
    (named / "sub").mkdir(parents=True)
    (named / "sub" / "file.bin").write_bytes(BODY)
    monkeypatch.setenv("OPTBIAS_DATA", str(named))
    assert locate(file) == named / "sub" / "file.bin"
    given = tmp_path / "given"
    given.mkdir()
    (given / "file.bin").write_bytes(BODY)
    assert locate(file, given) == given / "file.bin"
    with pytest.raises(DataError, match="there is no data folder '.*nowhere'"):
        locate(file, tmp_path / "nowhere")
    assert len(server.asked) == 1


def test_a_users_file_is_verified(server, tmp_path, monkeypatch):
    (tmp_path / "file.bin").write_bytes(BODY[:-1] + b"?")
    with pytest.raises(DataError, match="should have the checksum .* or pass verify=False"):
        locate(remote(server), tmp_path)
    (tmp_path / "file.bin").write_bytes(BODY[:-1])
    with pytest.raises(DataError, match="should have 700,000 bytes and has 699,999"):
        locate(remote(server), tmp_path)
    assert locate(remote(server), tmp_path, verify=False) == tmp_path / "file.bin"
    monkeypatch.setenv("OPTBIAS_VERIFY", "0")
    assert locate(remote(server), tmp_path) == tmp_path / "file.bin"
    assert describe(remote(server))["checksum"] == "not verified"
    monkeypatch.setenv("OPTBIAS_VERIFY", "1")
    assert describe(remote(server))["checksum"].startswith("sha256:")


def test_a_known_file_says_how_to_get_it():
    with pytest.raises(MissingFile, match=r"ptb.train.txt is in none of: .* Fetch it with `python -m optbias.data p"):
        locate(FILES["ptb-train"])
    with pytest.raises(MissingFile, match=r"cifar10.zip is in none of: [^`]*name a folder"):
        locate(FILES["cifar10-jpeg"], download=True)


def test_addresses_and_checksums_are_well_formed():
    for file in FILES.values():
        algorithm, _, digest = file.checksum.partition(":")
        assert re.fullmatch(r"[0-9a-f]+", digest)
        assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
        assert file.url == "" or file.url.startswith("https://")
        assert file.licence


def test_command_line(server, cache, monkeypatch, capsys):
    monkeypatch.setitem(download.FILES, "shakespeare", remote(server))
    assert main(["shakespeare"]) == 0
    assert "file.bin" in capsys.readouterr().out
    server.status = 404
    (cache / "file.bin").unlink()
    assert main(["shakespeare"]) == 1
    assert "answered 404" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["imagenet"])
