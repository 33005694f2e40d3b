"""The tests' own safeguards: no socket but to this machine's own servers."""

import socket

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

from tests.running import is_one_file


class TestSockets:
    @pytest.mark.filterwarnings("ignore:A test tried to use socket")
    def test_are_blocked(self) -> None:
        with pytest.raises(SocketBlockedError):
            socket.create_connection(("127.0.0.1", 9))

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:A test tried to use socket")
    def test_of_slow_tests_reach_this_machine_only(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        with pytest.raises(SocketConnectBlockedError), socket.socket() as client:
            client.connect(("192.0.2.1", 9))  # An address that is nobody's (RFC 5737).


class TestIsOneFile:
    @pytest.mark.parametrize(
        "arguments",
        [["tests/a.py"], ["tests/a.py::TestA"], ["tests/a.py::TestA::test_b", "tests/a.py::TestB"]],
    )
    def test_sees_tests_of_one_file(self, arguments: list[str]) -> None:
        assert is_one_file(arguments)

    @pytest.mark.parametrize("arguments", [[], ["tests"], ["tests/a.py", "tests/b.py"]])
    def test_sees_more(self, arguments: list[str]) -> None:
        assert not is_one_file(arguments)
