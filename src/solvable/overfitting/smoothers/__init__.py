"""Machines that are linear in their labels: one factorisation tells what all noise costs them."""
