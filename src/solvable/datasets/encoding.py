"""Inputs as scaled numbers: `encode_inputs` fits scikit-learn transformers to a table, an array or images.

The fitted encoder maps raw inputs to `X`, so that a model fitted to `X` can predict new rows. This module is imported
only when data are loaded, since scikit-learn and pandas are slow to import.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray
from pandas.api.types import infer_dtype
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from solvable.checks import finite
from solvable.datasets.columns import Origin, kind_of
from solvable.datasets.files import plain
from solvable.datasets.inputs import as_array, as_pandas, floats, with_text_names
from solvable.datasets.labels import names_an_identifier, refuse_extreme
from solvable.errors import InputError
from solvable.streams import short

Missing = Literal["drop", "mean"] | None
"""Treatment of missing values; None: refuse them."""
Key = str | int

_MOST_LISTED = 5
# Columns of this size and of its inverse are scaled before they are squared.
_LARGE = 1e100


def _remember(encoder: BaseEstimator, X: Any) -> None:
    """Store the number and names of the columns, without checking the values."""
    validate_data(encoder, X, skip_check_array=True)


class ToFloat(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of numbers of any type as float64, with NaN for missing values.

    From large integers, of which a float keeps only 16 digits, the least one of the column is subtracted; columns whose
    squares would leave the range of floats are scaled by a power of 2. Later steps centre and scale columns anyway.
    """

    def fit(self, X: Any, y: Any = None) -> "ToFloat":
        """Store the columns, and what is subtracted from each."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Float[NDArray, "n d"]:
        """Fit and return the numbers, which later steps may overwrite."""
        return self._scaled(self._fit(X))

    def transform(self, X: Any) -> Float[NDArray, "n d"]:
        """Return a new array, which later steps may overwrite."""
        return self._scaled(self._shifted(X))

    def _fit(self, X: Any) -> Float[NDArray, "n d"]:
        _remember(self, X)
        plain = plain_numbers(X)
        self.origin_ = np.zeros(X.shape[1], dtype=object)
        if plain is None:
            self.origin_[:] = [_origin(column) for column in _columns(X)]
        numbers = self._shifted(X) if plain is None else np.array(plain)
        largest = np.nanmax(np.abs(numbers), axis=0, initial=0.0, where=~np.isnan(numbers))
        extreme = (largest > _LARGE) | (largest < 1 / _LARGE) & (largest > 0)
        self.exponent_ = np.where(extreme, np.frexp(largest)[1], 0)
        return numbers

    def _scaled(self, numbers: Float[NDArray, "n d"]) -> Float[NDArray, "n d"]:
        return np.ldexp(numbers, -self.exponent_) if self.exponent_.any() else numbers

    def _shifted(self, X: Any) -> Float[NDArray, "n d"]:
        if not self.origin_.any() and (plain := plain_numbers(X)) is not None:
            return np.array(plain)
        columns = zip(_columns(X), self.origin_, strict=True)
        return np.stack([_less(column, origin) for column, origin in columns], axis=1)


def plain_numbers(X: Any) -> Float[NDArray, "n d"] | None:
    """Return an array or table of NumPy's numbers as floats; None for other types, and integers that floats round."""
    dtypes: Any = (
        [X.dtype] if isinstance(X, np.ndarray) else X.dtypes if isinstance(X, pd.DataFrame) else [None]
    )
    if not all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in dtypes):
        return None
    # Column by column, since signed and unsigned integers together become floats.
    long = [i for i, dtype in enumerate(dtypes) if dtype.kind in "iu" and dtype.itemsize == 8]
    if any(_is_large(X if isinstance(X, np.ndarray) else X.iloc[:, i].to_numpy()) for i in long):
        return None
    return np.asarray(X, dtype=np.float64)


def _columns(X: Any) -> list[pd.Series]:
    frame = as_pandas(X)
    frame = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(as_array(frame, "X"))
    return [frame.iloc[:, i] for i in range(frame.shape[1])]


def _is_large(integers: NDArray) -> bool:
    return bool(integers.size) and max(-int(integers.min()), int(integers.max())) > 2**53


def _origin(column: pd.Series) -> int:
    """Return the least number of a column of integers that floats cannot hold, and 0 for other columns."""
    if infer_dtype(column, skipna=True) != "integer":
        return 0
    least, most = int(column.min()), int(column.max())
    return least if max(-least, most) > 2**53 else 0


def _less(column: pd.Series, origin: int) -> Float[NDArray, "n"]:
    """Return a column minus a number, without rounding integers first."""
    if origin and infer_dtype(column, skipna=True) == "integer":
        column = column.astype(object) - origin
    elif origin:
        return floats(column, _named(column)) - float(origin)
    return np.array(floats(column, _named(column)))


def _named(column: pd.Series) -> str:
    return f"column {short(column.name)!r} of X"


class ToText(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of text or categories as strings, with None for missing values."""

    def fit(self, X: Any, y: Any = None) -> "ToText":
        """Store the columns."""
        _remember(self, X)
        return self

    def transform(self, X: Any) -> Shaped[NDArray, "n d"]:
        """Return an array of strings and None."""
        values = np.array(pd.DataFrame(X), dtype=object)
        absent = np.asarray(pd.isna(values), dtype=bool)
        texts = np.array([str(value) for value in values.ravel()], dtype=object).reshape(values.shape)
        texts[absent] = None
        return texts


class InputEncoder(ColumnTransformer):
    """A `ColumnTransformer` of arrays and of tables of any library."""

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit to `X` and return it encoded."""
        return super().fit_transform(_readable(X), y, **params)

    def transform(self, X: Any, **params: Any) -> Any:
        """Return `X` encoded: a table with its columns in any order, or an array with those of the fit in theirs."""
        X = _readable(X)
        names = getattr(self, "feature_names_in_", None)
        if isinstance(X, pd.DataFrame) and names is not None and (absent := set(names) - set(X.columns)):
            raise InputError(
                f"X lacks the column {short(min(absent))!r}; expected the columns that the encoder was fitted to"
            )
        if isinstance(X, np.ndarray) and names is not None:
            if X.ndim != 2 or X.shape[1] != len(names):
                raise InputError(
                    f"X has shape {X.shape}; expected {len(names)} columns, as in the table fitted to"
                )
            X = pd.DataFrame(X, columns=names)
        return super().transform(X, **params)


def _readable(X: Any) -> Any:
    X = as_pandas(X)
    return with_text_names(X) if isinstance(X, pd.DataFrame) else as_array(X, "X")


class BlockScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns with mean 0 whose variances sum to 1, the variance of one numeric column."""

    def fit(self, X: Float[NDArray, "n d"], y: Any = None) -> "BlockScaler":
        """Compute the means and the total variance."""
        _remember(self, X)
        self.mean_ = X.mean(axis=0)
        self.scale_ = float(np.sqrt(X.var(axis=0).sum()))
        return self

    def transform(self, X: Float[NDArray, "n d"]) -> Float[NDArray, "n d"]:
        """Return the scaled columns."""
        return (X - self.mean_) / self.scale_


class ImageScaler(TransformerMixin, BaseEstimator):
    """Images `(n, ...)` flattened to rows and scaled by one mean and one standard deviation for all numbers."""

    def fit(self, X: Any, y: Any = None) -> "ImageScaler":
        """Compute the mean and standard deviation."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Float[NDArray, "n d"]:
        """Fit and return the scaled rows, with one copy less than `fit` and `transform`."""
        flat = self._fit(X)
        return self._scale(flat)

    def transform(self, X: Any) -> Float[NDArray, "n d"]:
        """Return the images as scaled rows."""
        check_is_fitted(self)
        flat = self._flat(X)
        if flat.shape[1] != self.n_features_in_:
            raise InputError(
                f"the images have {flat.shape[1]} numbers each; expected {self.n_features_in_}, as in the images that "
                "the encoder was fitted to"
            )
        return self._scale(flat)

    def _fit(self, X: Any) -> Float[NDArray, "n d"]:
        flat = self._flat(X)
        self.n_features_in_ = flat.shape[1]
        refuse_extreme(np.array([[flat.min(initial=0.0)], [flat.max(initial=0.0)]]), "X")
        self.mean_, self.scale_ = float(flat.mean()), float(flat.std())
        if self.scale_ == 0:
            raise InputError("every pixel has the same value; expected pixels that vary")
        return flat

    def _scale(self, flat: Float[NDArray, "n d"]) -> Float[NDArray, "n d"]:
        # In place: 60 000 images of 784 pixels take 376 MB.
        flat -= self.mean_
        flat /= self.scale_
        return flat

    def _flat(self, X: Any) -> Float[NDArray, "n d"]:
        images = np.array(X, dtype=np.float64)
        return images.reshape(len(images), -1)


def encode_inputs(
    raw: Any, origin: Origin, *, images: bool = False, missing: Missing = None
) -> tuple[Float[NDArray, "n d"], Bool[NDArray, "rows"], Any, list[str]]:
    """Return scaled inputs, a mask of their rows, the fitted encoder with `encoder.transform(raw[rows]) == X`, notes.

    Args:
        raw: a table, an array `(n, d)`, or images `(n, ...)`.
        origin: the source, for messages.
        images: whether all numbers share one scale.
        missing: treatment of missing values; None: refuse them.

    Raises:
        InputError: for columns that cannot be inputs, missing or infinite values, and inputs that are all constant.
    """
    if images:
        return _encode_images(np.asarray(raw), origin, missing)
    numbers, texts = _split(raw, origin)
    keep, fill, notes = _missing(numbers, texts, origin, missing)
    if not keep.all():
        raw = raw[keep]
        numbers = numbers.loc[keep]
        texts = {key: column.loc[keep] for key, column in texts.items()}
    varying, varying_texts, constant_notes = _varying(numbers, texts, origin)
    notes += constant_notes
    if texts and not isinstance(raw, pd.DataFrame):
        raw = raw.astype(object)
    # By position, since scikit-learn searches all names for each; it still finds columns by name in another order.
    by_name = bool(varying) and isinstance(varying[0], str)
    positions = raw.columns.get_indexer(varying).tolist() if by_name else varying
    encoder = _column_encoder(positions, varying_texts, fill)
    X = np.ascontiguousarray(encoder.fit_transform(raw))
    if varying:
        notes.append(f"{len(varying)} columns scaled to mean 0 and standard deviation 1 each")
        notes += [
            f"{origin.column(key)} is named like an identifier and differs in every row, but is used as an input: if "
            f"it only numbers the rows, {origin.how_to_drop(key)}"
            for key in varying
            if names_an_identifier(str(key)) and numbers[key].is_unique
        ]
    if varying_texts:
        onehots = [encoder.named_transformers_[f"text_{i}"]["onehot"] for i in range(len(varying_texts))]
        counts = [
            f"{origin.listed(key)} ({len(onehot.categories_[0])} values)"
            for key, onehot in zip(varying_texts, onehots, strict=True)
        ]
        notes.append(
            f"each text encoded as one-hot columns, scaled to mean 0 and total variance 1: {', '.join(counts)}"
        )
    return X, keep, encoder, notes


def _encode_images(
    raw: NDArray, origin: Origin, missing: Missing
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Any, list[str]]:
    notes = []
    keep = np.ones(len(raw), dtype=bool)
    if raw.dtype.kind == "f":
        if missing == "drop":
            keep = np.array(~np.isnan(raw.reshape(len(raw), -1)).any(axis=1))
            if keep.sum() < 2:
                raise InputError(
                    f"{keep.sum()} of {len(keep)} images of {origin.shown} have no missing values; expected at "
                    "least 2: fill the missing values first"
                )
            if not keep.all():
                raw = raw[keep]
                notes.append(
                    f"{(~keep).sum()} of {len(keep)} images dropped because they have missing values"
                )
        remedy = f"drop these images with {origin.option('missing', 'drop')}, or fill the values first"
        if np.isinf(raw).any():
            remedy = "drop these images or replace these values first"
        finite(f"X in {origin.shown}", raw.reshape(len(raw), -1), remedy)
    encoder = ImageScaler()
    X = encoder.fit_transform(raw)
    scale = f"one global mean {encoder.mean_:.4g} and standard deviation {encoder.scale_:.4g}"
    return X, keep, encoder, [*notes, f"images flattened to {X.shape[1]} numbers and scaled by {scale}"]


def _split(raw: Any, origin: Origin) -> tuple[pd.DataFrame, dict[Key, pd.Series]]:
    """Return the columns of numbers as float64, with NaN for missing values, and the columns of text."""
    plain = plain_numbers(raw)
    if plain is not None:
        return pd.DataFrame(plain, columns=raw.columns if isinstance(raw, pd.DataFrame) else None), {}
    frame = pd.DataFrame(raw)
    # By position if the names are not text, as ColumnTransformer does.
    by_name = all(isinstance(name, str) for name in frame.columns)
    numbers, texts = {}, {}
    for i, name in enumerate(frame.columns):
        key = str(name) if by_name else i
        column = frame.iloc[:, i].reset_index(drop=True)
        if kind_of(column, origin, key) == "text":
            texts[key] = column
        elif column.notna().any():
            numbers[key] = _less(column, _origin(column))
        else:
            numbers[key] = np.full(len(column), np.nan)
    return pd.DataFrame(numbers, index=range(len(frame))), texts


def _missing(
    numbers: pd.DataFrame, texts: dict[Key, pd.Series], origin: Origin, missing: Missing
) -> tuple[NDArray[np.bool_], bool, list[str]]:
    """Return a mask of the rows to keep, whether to fill, and notes; raise for values that are refused."""
    values = numbers.to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        count = int(infinite[:, column].sum())
        raise InputError(
            f"{origin.column(numbers.columns[column])} has {count} infinite value{'s' * (count > 1)}, the first in "
            f"data row {origin.row(row)}; expected finite numbers: drop these rows or replace these values first"
        )
    n = len(numbers)
    absent: dict[Key, NDArray[np.bool_]] = dict(zip(numbers.columns, np.isnan(values).T, strict=True))
    absent |= {key: column.isna().to_numpy(dtype=bool) for key, column in texts.items()}
    absent = {key: rows for key, rows in absent.items() if rows.any()}
    keep = np.ones(n, dtype=bool)
    if not absent:
        return keep, missing == "mean", []
    gaps = _join([f"{origin.listed(key)} ({rows.sum()})" for key, rows in absent.items()])
    any_absent = np.logical_or.reduce(list(absent.values()))
    if missing is None:
        where = origin.column(next(iter(absent)))
        if len(absent) > 1:
            columns = [f"{origin.name(k)!r} ({r.sum()}, {r.mean():.1%})" for k, r in absent.items()]
            where = f"columns {_join(columns)} of {origin.shown}"
        raise InputError(
            f"{where} {'has' if len(absent) == 1 else 'have'} missing values in {any_absent.sum()} of {n} rows "
            f"({any_absent.mean():.1%}), the first in data row {origin.row(int(any_absent.argmax()))}; expected none: "
            f"drop these rows with {origin.option('missing', 'drop')}, or fill in the column's mean with "
            f"{origin.option('missing', 'mean')}"
        )
    if missing == "drop":
        if (n - any_absent.sum()) < 2:
            key = max(absent, key=lambda key: absent[key].sum())
            raise InputError(
                f"{n - any_absent.sum()} of {n} rows of {origin.shown} have no missing values; expected at least "
                f"2: {origin.name(key)!r} has the fewest values, {origin.how_to_drop(key)}, or fill in the column's "
                f"mean with {origin.option('missing', 'mean')}"
            )
        return (
            ~any_absent,
            False,
            [f"{any_absent.sum()} of {n} rows dropped because they have missing values: {gaps}"],
        )
    notes = []
    if columns := [
        f"{origin.listed(k)} ({absent[k].sum()})" for k in absent if k in numbers and not absent[k].all()
    ]:
        notes.append(f"missing values filled with the column's mean: {_join(columns)}")
    if columns := [f"{origin.listed(k)} ({absent[k].sum()})" for k in absent if k in texts]:
        notes.append(f"missing text counted as a value of its own: {_join(columns)}")
    return keep, True, notes


def _varying(
    numbers: pd.DataFrame, texts: dict[Key, pd.Series], origin: Origin
) -> tuple[list[Key], list[Key], list[str]]:
    """Return the columns of numbers and of text that are not constant, and a note on the constant ones."""
    values = numbers.to_numpy()
    # A gap is filled with the mean, so a column whose other values are all equal is constant.
    first = (
        np.take_along_axis(values, np.isfinite(values).argmax(axis=0)[None], axis=0)
        if values.size
        else values
    )
    constant = ((values == first) | np.isnan(values)).all(axis=0)
    varying = [key for key, same in zip(numbers.columns, constant, strict=True) if not same]
    varying_texts = [key for key, column in texts.items() if column.nunique(dropna=False) > 1]
    if not varying and not varying_texts:
        raise InputError(
            f"every input column of {origin.shown} is constant; expected at least one varying column"
        )
    kept = {*varying, *varying_texts}
    constant_keys = [key for key in [*numbers.columns, *texts] if key not in kept]
    if not constant_keys:
        return varying, varying_texts, []
    columns = _join([plain(key) if origin.names is None else origin.listed(key) for key in constant_keys])
    return (
        varying,
        varying_texts,
        [f"{len(constant_keys)} constant column{'s' * (len(constant_keys) > 1)} dropped: {columns}"],
    )


def _column_encoder(numbers: list[Key], texts: list[Key], fill: bool) -> InputEncoder:
    steps: list[Any] = []
    if numbers:
        # Two steps, for columns such as years: StandardScaler does not scale a column that looks constant, as one with
        # a large mean and a small standard deviation may; in the centred column rounding no longer hides it.
        fillers = [("fill", SimpleImputer())] if fill else []
        pipeline = Pipeline(
            [
                ("float", ToFloat()),
                *fillers,
                ("centre", StandardScaler(with_std=False, copy=False)),
                ("scale", StandardScaler(with_mean=False, copy=False)),
            ]
        )
        steps.append(("numbers", pipeline, numbers))
    for i, key in enumerate(texts):
        onehot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float64)
        pipeline = Pipeline([("text", ToText()), ("onehot", onehot), ("scale", BlockScaler())])
        steps.append((f"text_{i}", pipeline, [key]))
    encoder = InputEncoder(steps, verbose_feature_names_out=False)
    # The encoder ignores the user's `sklearn.set_config(transform_output="pandas")`.
    return encoder.set_output(transform="default")


def _join(words: list[str]) -> str:
    more = len(words) - _MOST_LISTED
    return ", ".join(words[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
