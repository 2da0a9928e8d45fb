"""What all tests share."""

from collections.abc import Iterator

import pytest
from jaxtyping import install_import_hook
from threadpoolctl import ThreadpoolController

# Annotated shapes are checked in every test, wherever arrays are arrays already; this has to come before anything
# imports these modules. (At the public doors inputs are array-like, and checked by sentences.)
install_import_hook(
    (
        "solvable.datasets",
        "solvable.regression.estimated_curves",
        "solvable.regression.nested",
        "solvable.regression.one_gram",
        "solvable.spectra.compressed",
        "solvable.spectra.sums",
        "solvable.spectra.tails",
        "solvable.spectra.sums",
    ),
    "beartype.beartype",
)

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
