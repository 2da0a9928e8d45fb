"""scqubits as a peer (see `benchmarks._peer`): a loop of `Transmon(...).E01()`, in its own process.

It brings qutip and more, which we do not install beside ours.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks._peer import ROOT, Child, Environment, channel, reason

ENVIRONMENT = Environment("scqubits", "scqubits", ROOT / ".venv-scqubits", ("scqubits==4.3.1",))


class Peer(Child):
    """scqubits in a process of its own."""

    def __init__(self, python: Path) -> None:
        super().__init__(python, "benchmarks._scqubits")

    def frequencies(self, EJ: list[float], EC: float, ng: float) -> tuple[list[float], float]:
        """Return the frequencies and the seconds of the loop."""
        answer = self.ask({"EJ": EJ, "EC": EC, "ng": ng})
        return answer["f01"], answer["seconds"]


def serve() -> None:
    """Answer jobs until the input ends."""
    answer = channel()
    import scqubits

    # One object whose E_J is set again; making one for each junction takes longer.
    qubit = scqubits.Transmon(EJ=15.0, EC=0.3, ng=0.25, ncut=30, truncated_dim=4)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            qubit.EC, qubit.ng = job["EC"], job["ng"]
            found = []
            start = time.perf_counter()
            for EJ in job["EJ"]:
                qubit.EJ = EJ
                found.append(float(qubit.E01()))
            answer(f01=found, seconds=time.perf_counter() - start)
        except Exception as error:
            answer(error=reason(error))


if __name__ == "__main__":
    serve()
