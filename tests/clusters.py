"""A Ray cluster on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def local_cluster(cores: int) -> Iterator[str]:
    """The address of a cluster on loopback; it is ended behind."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": "/tmp"}
    start = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    start += ["--port=0", f"--num-cpus={cores}", "--include-dashboard=false", "--disable-usage-stats"]
    start += ["--object-store-memory=100000000"]
    head = subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert head.stdout is not None
        yield next(line.split("'")[1] for line in head.stdout if "--address='" in line)
    finally:
        head.terminate()
        head.wait(timeout=60)
