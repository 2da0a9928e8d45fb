"""Shared parts of the command line: output, options, and the commands that serve all wings."""
