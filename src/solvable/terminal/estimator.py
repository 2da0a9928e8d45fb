"""The user's own estimator from the options `--estimator MODULE:NAME` and `--params name=value,...`."""

import ast
import functools
import importlib
import inspect
import os
import pkgutil
import sys
from difflib import get_close_matches
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError

_WORDS = {"none": None, "true": True, "false": False}


def estimator_named(name: str, params: dict[str, Any]) -> Any:
    """Return the estimator `MODULE:NAME`, or a function from the number of samples to an estimator.

    Args:
        name: `MODULE:NAME`; the module may be in the working directory, as with `python -m`. NAME is a class, which is
            called with the params; an instance, on which they are set; or a function from the number of training
            samples to an estimator, which receives them as keywords.
        params: the result of `params_from`.

    Raises:
        InputError: for an unknown module or name, suggesting the nearest ones.

    Example:
        >>> estimator_named("sklearn.neighbors:KNeighborsClassifier", {"n_neighbors": 3})
        KNeighborsClassifier(n_neighbors=3)
    """
    target = imported(
        name, "--estimator", "sklearn.neighbors:KNeighborsClassifier", "class, instance or function"
    )
    attribute = name.partition(":")[2]
    if isinstance(target, type):
        check_params(target, params, attribute)
        try:
            return target(**params)
        except (Exception, SystemExit) as problem:
            raise InputError(
                f"{attribute} cannot be created with {params or 'no params'} ({type(problem).__name__}: {problem}); "
                "expected other --params, or the name of an instance or of a function of the number of samples"
            ) from problem
    if not params:
        return target
    if hasattr(target, "set_params"):
        try:
            known = target.get_params()
        except Exception as problem:
            raise InputError(
                f"{attribute}.get_params() raised {type(problem).__name__}: {problem}; expected its parameters"
            ) from problem
        for param in params:
            choice(f"parameter of {attribute}", param, known)
        return target.set_params(**params)
    if not inspect.isroutine(target):
        raise InputError(f"{attribute} takes no --params; leave them out")
    check_params(target, params, attribute)
    return functools.partial(target, **params)


def imported(name: str, option: str, example: str, expected: str) -> Any:
    """Return what `MODULE:NAME` names; the module may be in the working directory, as with `python -m`.

    Args:
        name: the words of the user.
        option: the option or argument that they come from.
        example: a valid value of it.
        expected: what NAME should be.

    Raises:
        InputError: for an unknown module or name, suggesting the nearest ones.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise InputError(f"{option} is {name!r}; expected MODULE:NAME, as in {example}")
    return _attribute(_module(module_name), module_name, attribute, expected)


def _module(name: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{name}.".startswith(f"{problem.name}."):
            raise InputError(
                f"module {name!r} cannot be imported, since it imports {problem.name!r}, which is not installed"
            ) from None
        near = get_close_matches(name.split(".")[-1], _siblings(name), n=1)
        hint = f"; did you mean {'.'.join([*name.split('.')[:-1], near[0]])!r}?" if near else ""
        raise InputError(
            f"there is no module {name!r} here; expected an installed module, or FILE for a FILE.py in {os.getcwd()!r}"
            f"{hint}"
        ) from None
    except (Exception, SystemExit) as problem:
        raise InputError(
            f"module {name!r} cannot be imported ({type(problem).__name__}: {problem}); fix it first"
        ) from problem


def _siblings(name: str) -> list[str]:
    """Return the modules next to a missing one."""
    package, dot, _ = name.rpartition(".")
    try:
        path = list(importlib.import_module(package).__path__) if dot else None
    except (ImportError, AttributeError):
        return []
    # At the top level, only modules in the working directory and likely packages.
    likely = ["sklearn", "xgboost", "lightgbm"] if path is None else []
    return [module.name for module in pkgutil.iter_modules([os.getcwd()] if path is None else path)] + likely


def _attribute(module: Any, module_name: str, name: str, expected: str) -> Any:
    if not hasattr(module, name):
        public = [one for one in dir(module) if not one.startswith("_")]
        near = get_close_matches(name, public, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise InputError(f"module {module_name!r} has no {name!r}; expected a {expected} in it{hint}")
    return getattr(module, name)


def check_params(what: Any, params: dict[str, Any], name: str) -> None:
    """Raise for a keyword that a function or class does not take, suggesting the nearest one."""
    try:
        arguments = inspect.signature(what).parameters.values()
    except (ValueError, TypeError):  # no signature available
        return
    if not any(one.kind is one.VAR_KEYWORD for one in arguments):
        for param in params:
            choice(f"parameter of {name}", param, [one.name for one in arguments])


def params_from(text: str) -> dict[str, Any]:
    """Return the parameters in `name=value,...`.

    Values are numbers, none, true, false, lists and tuples in brackets, or else strings.

    Raises:
        InputError: for a part without a name or a value, and for a repeated name.

    Example:
        >>> params_from("max_depth=none,hidden_layer_sizes=(64,64),alpha=1e-3,solver=adam")
        {'max_depth': None, 'hidden_layer_sizes': (64, 64), 'alpha': 0.001, 'solver': 'adam'}
    """
    params: dict[str, Any] = {}
    for part in _parts(text):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name.isidentifier() and equals and value):
            raise InputError(
                f"--params has {part!r}; expected name=value, with commas between them and no spaces, as in "
                "width=512,bias=none"
            )
        if name in params:
            raise InputError(f"--params names {name!r} twice; expected distinct names")
        params[name] = _value(value)
    return params


def _parts(text: str) -> list[str]:
    """Split a text at commas outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        depth += 0 if quote else (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if text.strip() else []


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
