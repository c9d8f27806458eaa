"""A real Milvus server for tests and benchmarks, from the package `milvus`, that this machine alone can reach.

The server listens on all interfaces. So it runs in a network namespace of its own, which has nothing but a loopback
interface, and a relay lets through what comes to one port of 127.0.0.1 here: the relay got that port's socket before
it went into the namespace.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

CLONE_NEWUSER, CLONE_NEWNET, PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
INSIDE = 19530  # the server's port in its namespace
MEMORY = "2GiB"  # of its Go part, at which it begins to collect garbage; what it holds in C++ comes on top
START = 300  # seconds until it answers
SHARED = Path(__file__).parents[1] / ".pytest_cache" / "milvus"  # the server's programs, which `make clean` removes
READY = b"ready\n"
ROOT = "root:Milvus"  # the user that a new server has
QUICK = {  # ms that the server waits between two looks, so that tests do not
    "proxy.timeTickInterval": "20",
    **{f"queryCoord.{name}": "50" for name in ("checkInterval", "checkChannelInterval", "checkSegmentInterval")},
    **{f"queryCoord.{name}": "20" for name in ("distPullInterval", "leaderViewUpdateInterval")},
}


class MilvusServer:
    """A server with its data in a folder, from `start` to `stop`; a folder may be started again.

    Args:
        folder: for its data and logs.
        inside: this process is in a `namespace` already, so none is made, and no relay.
        settings: of Milvus, such as {"proxy.timeTickInterval": "20"}.

    Attributes:
        address: host:port, the same from one start to the next.
        uri: what stands before the name of a collection; the server lets in those who know its password.
    """

    def __init__(self, folder: Path, *, inside: bool = False, **settings: str) -> None:
        self.folder, self._settings, self._inside = folder, settings, inside
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"127.0.0.1:{INSIDE if inside else self._port}"
        self.uri = f"milvus://{ROOT}@{self.address}"
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        with open(self.folder / "relay.log", "ab") as log, socket.create_server(("127.0.0.1", self._port)) as listening:
            fd = listening.fileno()
            self._process = subprocess.Popen(
                [sys.executable, __file__, "-1" if self._inside else str(fd), str(self.folder), *settings],
                pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        pid, ready = self._process.stdout.readline(), self._process.stdout.readline()
        if ready != READY:
            self.stop()
            raise RuntimeError(f"no Milvus server: {(self.folder / 'relay.log').read_text()[-2000:]}")
        self.pid = int(pid)
        return self

    def kill(self) -> None:
        """End the server at once, as a power cut would; the relay closes what is open."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # tells the relay
            self._process.wait(60)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def memory(self) -> int:
        """Bytes that it holds in memory now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def why_not() -> str:
    """Why no server can be started here; empty where one can."""
    tried = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["it cannot be started"])[-1]


def namespace() -> None:
    """Go into a new network namespace whose loopback interface is up; as a user who is not root, in one of users."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "this machine lets no process have a network namespace of its own")
    with socket.socket() as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        (found,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", found | IFF_UP))


def started(folder: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """The server's process, in the namespace of this one; it ends with this one."""
    import milvus

    os.environ["GOMEMLIMIT"] = MEMORY
    os.environ["NO_PROXY"] = "127.0.0.1"
    os.environ["COMMON_SECURITY_AUTHORIZATIONENABLED"] = "true"
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
    server = milvus.MilvusServer(milvus.MilvusServerConfig(data_dir=str(folder)), wait_for_started=False)
    server.config.set("proxy_port", INSIDE)
    os.environ.update({name.replace(".", "_").upper(): value for name, value in settings.items()})
    (SHARED / "bin").mkdir(parents=True, exist_ok=True)
    if not (folder / "bin").exists():
        (folder / "bin").symlink_to(SHARED / "bin")
    with FileLock(SHARED / "lock"):  # the first one unpacks the programs, which are half a gigabyte
        server.start()
    _started.append(server)  # collected, it would stop the process
    return server.server_proc


_started: list[object] = []


async def relay(listening: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Let connections through until standard input is closed; those that the server does not take are closed."""

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", INSIDE)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, server[1]), pump(server[0], writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while some := await reader.read(1 << 18):
                writer.write(some)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(through, sock=listening):
        await asyncio.to_thread(sys.stdin.buffer.read)
    end(process)
    os._exit(0)


def end(process: subprocess.Popen[bytes]) -> None:
    """At once: it would take more than three seconds to end well, and nobody wants its data."""
    process.kill()
    process.wait()


def wait_until_healthy(process: subprocess.Popen[bytes]) -> None:
    import urllib.request

    for _ in range(10 * START):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with suppress(OSError), urllib.request.urlopen("http://127.0.0.1:9091/healthz", timeout=5) as answer:
            if b"OK" in answer.read():
                return
        time.sleep(0.1)
    raise SystemExit(f"the server does not answer within {START} s")


def main() -> None:
    if sys.argv[1:2] != ["-1"]:
        namespace()
    if len(sys.argv) == 1:
        return
    fd, folder, *settings = sys.argv[1:]
    process = started(Path(folder), dict(setting.split("=", 1) for setting in settings))
    signal.signal(signal.SIGTERM, lambda *_: (end(process), os._exit(1)))  # else the server would live on
    try:
        sys.stdout.buffer.write(f"{process.pid}\n".encode())
        sys.stdout.flush()
        wait_until_healthy(process)
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        if fd == "-1":
            sys.stdin.buffer.read()
        else:
            asyncio.run(relay(socket.socket(fileno=int(fd)), process))
    finally:
        end(process)


if __name__ == "__main__":
    main()
