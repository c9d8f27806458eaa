"""Work off the event loop."""

import asyncio
import time

from crossbit.index.milvus.calls import end_of
from crossbit.serve.work import Work


def test_a_server_of_the_index_has_less_time_than_a_request() -> None:
    work, start = Work(1, 1, 10.0), time.monotonic()
    end = asyncio.run(work.do(end_of, 60.0))
    assert start + 9 <= end <= time.monotonic() + 9 < end_of(60.0)
    work.close()
