"""Names of the reference: `solvable.lab.run` is the function that the package exports, not the file that defines it.

An extension for Griffe, which reads the docstrings, named in `mkdocs.yml`. Griffe would show the file with all that is
in it, also what is not public.
"""

from typing import Any

from griffe import Alias, Extension, GriffeLoader, Module


class Exported(Extension):
    """What a package imports from a file of the same name takes the place of that file."""

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **kwargs: Any) -> None:
        """Exchange them in all packages, at any depth."""
        # Before the files are hidden, since other names lead through them.
        loader.resolve_aliases(implicit=True, external=False)
        _exchange(pkg)


def _exchange(package: Module) -> None:
    for name, file in list(package.modules.items()):
        if file.is_alias:
            continue
        _exchange(file)
        if package.imports.get(name) == f"{file.path}.{name}":
            package.set_member(name, Alias(name, file.members[name], parent=package))
