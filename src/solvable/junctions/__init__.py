"""Josephson junctions."""
