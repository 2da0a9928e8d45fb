"""The matrices here are small: waking a thread for each product takes longer than the product."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Keep linear algebra on one thread."""
    with threadpool_limits(1):
        yield
