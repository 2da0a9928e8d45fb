"""`--estimator MODULE:NAME` and `--params name=value,...`: somebody's estimator from the words of a command line."""

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
    """Return the estimator, or the function of the number of samples, that MODULE:NAME means.

    Args:
        name: `MODULE:NAME`; the module is looked for in the working directory too, as by `python -m`. NAME is a class,
            which is called with the params; an instance, on which they are set; or a function of the number of
            training samples that returns an estimator, which gets them as keywords.
        params: from `params_from`.

    Raises:
        InputError: for a module or name that is not there, with the nearest ones.

    Example:
        >>> estimator_named("sklearn.neighbors:KNeighborsClassifier", {"n_neighbors": 3})
        KNeighborsClassifier(n_neighbors=3)
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise InputError(
            f"--estimator is {name!r}; expected MODULE:NAME, as in sklearn.neighbors:KNeighborsClassifier"
        )
    found = _attribute(_module(module_name), module_name, attribute)
    if isinstance(found, type):
        _check_params(found, params, attribute)
        try:
            return found(**params)
        except Exception as problem:
            raise InputError(
                f"{attribute} cannot be made of {params or 'nothing'} ({type(problem).__name__}: {problem}); expected "
                "other --params, or the name of an instance or of a function of the number of samples"
            ) from problem
    if not params:
        return found
    if hasattr(found, "set_params"):
        for param in params:
            choice(f"parameter of {attribute}", param, found.get_params())
        return found.set_params(**params)
    if not inspect.isroutine(found):
        raise InputError(f"{attribute} takes no --params; leave them out")
    _check_params(found, params, attribute)
    return functools.partial(found, **params)


def _module(name: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{name}.".startswith(f"{problem.name}."):
            raise InputError(
                f"module {name!r} cannot be imported, since it imports {problem.name!r}, which is not there"
            ) from None
        near = get_close_matches(name.split(".")[-1], _siblings(name), n=1)
        hint = f"; did you mean {'.'.join([*name.split('.')[:-1], near[0]])!r}?" if near else ""
        raise InputError(
            f"there is no module {name!r} here; expected an installed one, or FILE for a FILE.py in {os.getcwd()!r}"
            f"{hint}"
        ) from None
    except Exception as problem:
        raise InputError(
            f"module {name!r} cannot be imported ({type(problem).__name__}: {problem}); mend it first"
        ) from problem


def _siblings(name: str) -> list[str]:
    """Return the modules beside one that is not there."""
    package, dot, _ = name.rpartition(".")
    try:
        path = list(importlib.import_module(package).__path__) if dot else None
    except (ImportError, AttributeError):
        return []
    # Of the top level, only what lies in the working directory or is likely to be meant.
    if path is None:
        return [
            *(module.name for module in pkgutil.iter_modules([os.getcwd()])),
            "sklearn",
            "xgboost",
            "lightgbm",
        ]
    return [module.name for module in pkgutil.iter_modules(path)]


def _attribute(module: Any, module_name: str, name: str) -> Any:
    if not hasattr(module, name):
        public = [one for one in dir(module) if not one.startswith("_")]
        near = get_close_matches(name, public, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise InputError(
            f"module {module_name!r} has no {name!r}; expected a class, instance or function in it{hint}"
        )
    return getattr(module, name)


def _check_params(what: Any, params: dict[str, Any], name: str) -> None:
    """Raise for a keyword that is not taken, with the nearest one."""
    try:
        known = inspect.signature(what).parameters.values()
    except (ValueError, TypeError):  # it has no signature to look at
        return
    if not any(one.kind is one.VAR_KEYWORD for one in known):
        for param in params:
            choice(f"parameter of {name}", param, [one.name for one in known])


def params_from(text: str) -> dict[str, Any]:
    """Return parameters as they are written on the command line.

    Args:
        text: `name=value,...`; values are numbers, none, true, false, lists and tuples in brackets, or else text.

    Raises:
        InputError: for a part without a name or a value.

    Example:
        >>> params_from("max_depth=none,hidden_layer_sizes=(64,64),alpha=1e-3,solver=adam")
        {'max_depth': None, 'hidden_layer_sizes': (64, 64), 'alpha': 0.001, 'solver': 'adam'}
    """
    found: dict[str, Any] = {}
    for part in _parts(text):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name.isidentifier() and equals and value):
            raise InputError(
                f"--params has {part!r}; expected name=value, with commas between them and no spaces, as in "
                "n_estimators=50,max_depth=none"
            )
        if name in found:
            raise InputError(f"--params names {name!r} twice; give it once")
        found[name] = _value(value)
    return found


def _parts(text: str) -> list[str]:
    """Return what stands between commas that are in no bracket and no quotes."""
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
