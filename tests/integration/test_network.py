"""--net --network none: a network of its own with nothing but lo, which is up."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

Sh = Callable[..., subprocess.CompletedProcess[str]]
NONE = ("--net", "--network", "none")


def test_lo_is_the_only_interface_and_up(inside: Callable[..., str], apptainer: Path) -> None:
    for program in ({}, {"program": apptainer}):
        script = "tail -n +3 /proc/net/dev | cut -d: -f1; ip -o link show lo"
        shown = inside(script, *NONE, **program).splitlines()
        assert [line.strip() for line in shown[:-1]] == ["lo"]
        assert ",UP," in shown[-1]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.4.5"])
def test_a_program_talks_to_itself_over_lo(inside: Callable[..., str], address: str) -> None:
    script = f"""
    nc -l -p 4321 -e cat & server=$!
    until heard=$(echo hello | nc {address} 4321 2>/dev/null); test "$heard"; do
      usleep 20000
    done
    wait $server; echo $heard
    """
    assert inside(script, *NONE, "--contain") == "hello\n"


def test_the_hosts_lo_is_another_one(sh: Sh, inside: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        heard: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            heard.append(connection.recv(100))
            connection.close()

        assert sh(f"echo x | nc -w 2 127.0.0.1 {port}", *NONE).returncode != 0
        thread = threading.Thread(target=serve)
        thread.start()
        inside(f"echo shared | nc 127.0.0.1 {port}")
        thread.join(10)
        assert heard == [b"shared\n"]
