"""Write `scqubits_4_3_1.json`: levels and frequencies of transmons by scqubits 4.3.1.

Run by hand in an environment of its own (`pip install scqubits==4.3.1`), since scqubits brings qutip and more. Entries:
`EJ_GHz`, `EC_GHz`, `ng`, `levels_GHz` (four, ascending), `f01_GHz`, `anharmonicity_GHz`.
"""

import json
from pathlib import Path

import scqubits

CASES = [
    (ratio * EC, EC, ng)
    for EC in (0.2, 0.3)
    for ratio in (5.0, 7.0, 10.0, 15.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0)
    for ng in (0.0, 0.1, 0.25, 0.5)
]


def main() -> None:
    """Write the file beside this script."""
    rows = []
    for EJ, EC, ng in CASES:
        # 40 charges to each side: the default of 30 is enough as well.
        qubit = scqubits.Transmon(EJ=EJ, EC=EC, ng=ng, ncut=40, truncated_dim=6)
        levels = qubit.eigenvals(4)
        rows.append(
            {
                "EJ_GHz": EJ,
                "EC_GHz": EC,
                "ng": ng,
                "levels_GHz": [float(level) for level in levels],
                "f01_GHz": float(qubit.E01()),
                "anharmonicity_GHz": float(qubit.anharmonicity()),
            }
        )
    path = Path(__file__).with_name(f"scqubits_{scqubits.__version__.replace('.', '_')}.json")
    path.write_text(
        json.dumps({"scqubits": scqubits.__version__, "cases": rows}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
