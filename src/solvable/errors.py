"""The exceptions for bad input and missing optional packages.

A message is one sentence: what is wrong, the value given, what was expected and, if that is not clear from the rest,
how to fix it. The command line prints it without a traceback and exits with 2.
"""


class InputError(ValueError):
    """Input that cannot be used; the message is one sentence."""


class InputTypeError(InputError, TypeError):
    """Input of a type that cannot be used."""


class MissingExtraError(ImportError, InputError):
    """An optional package is needed but not installed."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error for a missing optional package, with the command that installs it."""
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed: pip install 'solvable[{extra}]'"
    )
