"""The exceptions that bad input and missing parts raise.

A message is one sentence: what is wrong, what was given, what was expected and, where that does not say it yet, how to
mend it. The command line prints it without a traceback and exits with 2.
"""


class InputError(ValueError):
    """Input that cannot be used, said in one sentence."""


class MissingExtraError(ImportError, InputError):
    """An optional part of the library is needed and not installed."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error that says which `pip install` brings an optional part."""
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed: pip install 'solvable[{extra}]'"
    )
