"""Work off the event loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from crossbit.index.milvus.calls import end_of
from crossbit.serve.work import Work


def test_a_server_of_the_index_has_less_time_than_a_request() -> None:
    work, start = Work(1, 1, 10.0), time.monotonic()
    with ThreadPoolExecutor(1) as other:  # here a browser's loop may run already
        end = other.submit(asyncio.run, work.do(end_of, 60.0)).result()
    assert start + 9 <= end <= time.monotonic() + 9 < end_of(60.0)
    work.close()
