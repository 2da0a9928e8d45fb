"""A poster of any recorded study: `make` writes a PDF of one page, to be hung up, and a PNG preview.

Files: `make` puts a poster together from `content` (texts and tables of records), `figures` (drawn again for their
place), `logos` and `paper` (sizes); `typesetting` compiles the template `poster.typ` and says what does not fit.
`command` is
`solvable poster`; `label` and `accepted` are for those who look.
"""

from solvable.poster.make import Poster, make

__all__ = ["Poster", "make"]
