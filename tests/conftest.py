"""What all tests share."""

from collections.abc import Iterator

import pytest
from threadpoolctl import ThreadpoolController

_controller: ThreadpoolController | None = None


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep linear algebra on one thread: waking another takes longer than a small product. Slow studies take all."""
    global _controller
    if request.node.get_closest_marker("slow"):
        yield
        return
    if _controller is None:
        import scipy.linalg  # noqa: F401  # its own BLAS is to be found too

        _controller = ThreadpoolController()
    with _controller.limit(limits=1):
        yield
