"""Noise profiles measured: anybody's estimator, or a net epoch by epoch, trained on labels of which some are wrong."""
