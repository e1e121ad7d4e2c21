"""Whether a cluster is there, by who listens."""

import socket
import threading
import time

import pytest

from hpsuite.on_ray import watching
from hpsuite.on_ray.watching import ClusterWatch, Listener


def listener(server: socket.socket, most: int = 2) -> Listener:
    return Listener("it", server.family, server.getsockname(), most)


def test_who_listens_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = listener(server)
        assert not one.is_gone()
    assert not one.is_gone()
    with socket.create_server(one.address):
        assert not one.is_gone()
    assert [one.is_gone() for _ in range(3)] == [False, True, True]


def test_what_this_process_lacks_is_not_held_against_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with socket.create_server(("127.0.0.1", 0)) as server:
        one = listener(server, most=1)
    monkeypatch.setattr(socket, "socket", full)
    assert not one.is_gone()


def test_who_is_gone_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    told: list[str] = []
    heard = threading.Event()

    def gone(why: str) -> None:
        told.append(why)
        heard.set()

    with socket.create_server(("127.0.0.1", 0)) as other:
        with socket.create_server(("127.0.0.1", 0)) as server:
            watch = ClusterWatch([listener(other), listener(server)], gone)
            time.sleep(0.1)
            assert not told
        assert heard.wait(30)
        time.sleep(0.1)
    watch.end()
    assert told == ["it is gone"]


def test_a_watch_that_ended_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = ClusterWatch([listener(server)], told.append)
        watch.end()
    time.sleep(0.1)
    assert not told
