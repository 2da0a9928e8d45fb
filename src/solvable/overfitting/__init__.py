"""Benign, tempered or catastrophic: which kind of overfitting a model has (arXiv:2207.06569)."""
