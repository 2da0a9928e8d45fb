"""Donor nuclear spin qubits in silicon: Hamiltonians with units, fast gates, and what charge noise does to them.

`device` has one donor, with its levels and dipoles, and `pair` two that are coupled; `theory` has the closed forms.
`shapes` and `pulses` are controls in time, `propagation` has exact propagators, and `fidelity` turns these into figures
of merit.

Every gate is our own reconstruction after the idea of Simon et al. (2020).
"""
