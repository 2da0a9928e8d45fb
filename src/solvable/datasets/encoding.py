"""Inputs as scaled numbers: `encode_inputs` fits scikit-learn's pieces to a table, an array or images.

The fitted encoder maps raw inputs to `X`, so that what was fitted to `X` can be asked about new rows. It is
imported only when data are loaded, since scikit-learn and pandas are slow to import.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from solvable.checks import finite
from solvable.datasets.columns import Origin, kind_of
from solvable.datasets.labels import names_an_identifier
from solvable.errors import InputError

Missing = Literal["drop", "mean"] | None
"""What to do with missing values; None: refuse them."""
Key = str | int

_MISSING = "missing"
_SHOWN = 5


def _remember(encoder: BaseEstimator, X: Any) -> None:
    """Keep number and names of the columns, without a look at the values."""
    validate_data(encoder, X, skip_check_array=True)


class ToFloat(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of numbers of any type as float64, whatever is missing as NaN."""

    def fit(self, X: Any, y: Any = None) -> "ToFloat":
        """Remember the columns."""
        _remember(self, X)
        return self

    def transform(self, X: Any) -> Float[NDArray, "n d"]:
        """Return a new array, which the steps after this one may write into."""
        if isinstance(X, np.ndarray) and X.dtype.kind != "O":
            return np.array(X, dtype=np.float64)
        return np.array(pd.DataFrame(X).to_numpy(dtype=np.float64, na_value=np.nan))


class ToText(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of text or categories as strings, whatever is missing as the string `missing`."""

    def fit(self, X: Any, y: Any = None) -> "ToText":
        """Remember the columns."""
        _remember(self, X)
        return self

    def transform(self, X: Any) -> Shaped[NDArray, "n d"]:
        """Return an array of strings."""
        values = np.array(pd.DataFrame(X), dtype=object)
        absent = np.asarray(pd.isna(values), dtype=bool)
        texts = np.array([str(value) for value in values.ravel()], dtype=object).reshape(values.shape)
        texts[absent] = _MISSING
        return texts


class BlockScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns with mean 0 whose variances sum to 1: as much as one column of numbers has."""

    def fit(self, X: Float[NDArray, "n d"], y: Any = None) -> "BlockScaler":
        """Take means and the total variance."""
        _remember(self, X)
        self.mean_ = X.mean(axis=0)
        self.scale_ = float(np.sqrt(X.var(axis=0).sum()))
        return self

    def transform(self, X: Float[NDArray, "n d"]) -> Float[NDArray, "n d"]:
        """Return the columns scaled."""
        return (X - self.mean_) / self.scale_


class ImageScaler(TransformerMixin, BaseEstimator):
    """Images `(n, ...)` flattened to rows, with one mean and one standard deviation for all numbers."""

    def fit(self, X: Any, y: Any = None) -> "ImageScaler":
        """Take mean and standard deviation."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Float[NDArray, "n d"]:
        """Fit and scale, with one copy less than one after the other."""
        flat = self._fit(X)
        return self._scale(flat)

    def transform(self, X: Any) -> Float[NDArray, "n d"]:
        """Return the images as scaled rows."""
        check_is_fitted(self)
        flat = self._flat(X)
        if flat.shape[1] != self.n_features_in_:
            raise InputError(
                f"the images have {flat.shape[1]} numbers each; expected {self.n_features_in_}, as where the encoder "
                "was fitted"
            )
        return self._scale(flat)

    def _fit(self, X: Any) -> Float[NDArray, "n d"]:
        flat = self._flat(X)
        self.n_features_in_ = flat.shape[1]
        self.mean_, self.scale_ = float(flat.mean()), float(flat.std())
        if self.scale_ == 0:
            raise InputError("every pixel has the same value; expected images that differ")
        return flat

    def _scale(self, flat: Float[NDArray, "n d"]) -> Float[NDArray, "n d"]:
        # In place: 60 000 images of 784 pixels are 376 MB already.
        flat -= self.mean_
        flat /= self.scale_
        return flat

    def _flat(self, X: Any) -> Float[NDArray, "n d"]:
        images = np.array(X, dtype=np.float64)
        return images.reshape(len(images), -1)


def encode_inputs(
    raw: Any, origin: Origin, *, images: bool = False, missing: Missing = None
) -> tuple[Float[NDArray, "n d"], Bool[NDArray, "rows"], Any, list[str]]:
    """Return scaled inputs, which rows they are, the fitted encoder with `encoder.transform(raw[rows]) == X`, notes.

    Args:
        raw: a table, an array `(n, d)`, or images `(n, ...)`.
        origin: what to call it.
        images: whether all numbers share one scale.
        missing: what to do with missing values; None: refuse them.

    Raises:
        InputError: for columns that are no inputs, missing or infinite values, and where nothing varies.
    """
    if images:
        return _encode_images(np.asarray(raw), origin, missing)
    numbers, texts = _split(raw, origin)
    keep, filled, notes = _missing(numbers, texts, origin, missing)
    if not keep.all():
        raw = raw[keep]
        numbers = numbers.loc[keep]
        texts = {key: column.loc[keep] for key, column in texts.items()}
    varying, varying_texts, dropped = _varying(numbers, texts, origin)
    notes += dropped
    if texts and not isinstance(raw, pd.DataFrame):
        raw = raw.astype(object)
    encoder = _column_encoder(varying, varying_texts, filled)
    X = np.ascontiguousarray(encoder.fit_transform(raw))
    if varying:
        notes.append(f"{len(varying)} columns scaled to mean 0 and standard deviation 1 each")
        notes += [
            f"{origin.column(key)} is called like an identifier and is different in every row, but takes part as an "
            f"input: if it only numbers the rows, {origin.how_to_drop(key)}"
            for key in varying
            if names_an_identifier(str(key)) and numbers[key].is_unique
        ]
    if varying_texts:
        fitted = [encoder.named_transformers_[f"text_{i}"]["onehot"] for i in range(len(varying_texts))]
        counts = [
            f"{origin.name(key)} ({len(onehot.categories_[0])} values)"
            for key, onehot in zip(varying_texts, fitted, strict=True)
        ]
        notes.append(
            f"text encoded as one-hot columns, those of each text scaled to mean 0 and total variance 1: "
            f"{', '.join(counts)}"
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
                    f"{keep.sum()} of {len(keep)} images of {origin.shown} are without missing values; expected at "
                    "least 2: fill the values first"
                )
            if not keep.all():
                raw = raw[keep]
                notes.append(f"{(~keep).sum()} of {len(keep)} images dropped, since they have missing values")
        mend = f"drop these images with {origin.option('missing', 'drop')}, or fill the values first"
        if np.isinf(raw).any():
            mend = "drop these images, or put finite values there, first"
        finite(f"X in {origin.shown}", raw.reshape(len(raw), -1), mend)
    encoder = ImageScaler()
    X = encoder.fit_transform(raw)
    scale = f"one global mean {encoder.mean_:.4g} and standard deviation {encoder.scale_:.4g}"
    return X, keep, encoder, [*notes, f"images flattened to {X.shape[1]} numbers and scaled by {scale}"]


def _split(raw: Any, origin: Origin) -> tuple[pd.DataFrame, dict[Key, pd.Series]]:
    """Return the columns of numbers as float64, with NaN for what is missing, and the columns of text."""
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
        return pd.DataFrame(raw.astype(np.float64, copy=False)), {}
    frame = pd.DataFrame(raw)
    # By position where the names are not text, as ColumnTransformer does.
    named = all(isinstance(name, str) for name in frame.columns)
    numbers, texts = {}, {}
    for i, name in enumerate(frame.columns):
        key = str(name) if named else i
        column = frame.iloc[:, i].reset_index(drop=True)
        if kind_of(column, origin, key) == "text":
            texts[key] = column
        elif column.notna().any():
            numbers[key] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            numbers[key] = np.full(len(column), np.nan)
    return pd.DataFrame(numbers, index=range(len(frame))), texts


def _missing(
    numbers: pd.DataFrame, texts: dict[Key, pd.Series], origin: Origin, missing: Missing
) -> tuple[NDArray[np.bool_], bool, list[str]]:
    """Refuse infinite and missing values, or return the rows to keep, whether to fill, and notes."""
    values = numbers.to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        count = int(infinite[:, column].sum())
        raise InputError(
            f"{origin.column(numbers.columns[column])} has {count} infinite value{'s' * (count > 1)}, the first in "
            f"data row {origin.row(row)}; expected finite numbers: drop these rows, or put other numbers there, first"
        )
    n = len(numbers)
    absent: dict[Key, NDArray[np.bool_]] = dict(zip(numbers.columns, np.isnan(values).T, strict=True))
    absent |= {key: column.isna().to_numpy(dtype=bool) for key, column in texts.items()}
    absent = {key: rows for key, rows in absent.items() if rows.any()}
    keep = np.ones(n, dtype=bool)
    if not absent:
        return keep, missing == "mean", []
    shown = _listed([f"{origin.name(key)} ({rows.sum()})" for key, rows in absent.items()])
    any_absent = np.logical_or.reduce(list(absent.values()))
    if missing is None:
        where = origin.column(next(iter(absent)))
        if len(absent) > 1:
            listed = [f"{origin.name(k)!r} ({r.sum()}, {r.mean():.1%})" for k, r in absent.items()]
            where = f"columns {_listed(listed)} of {origin.shown}"
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
                f"{n - any_absent.sum()} of {n} rows of {origin.shown} are without missing values; expected at least "
                f"2: {origin.name(key)!r} has the fewest values, {origin.how_to_drop(key)}, or fill in the column's "
                f"mean with {origin.option('missing', 'mean')}"
            )
        return (
            ~any_absent,
            False,
            [f"{any_absent.sum()} of {n} rows dropped, since they have missing values: {shown}"],
        )
    notes = []
    if filled := [
        f"{origin.name(k)} ({absent[k].sum()})" for k in absent if k in numbers and not absent[k].all()
    ]:
        notes.append(f"missing values filled with the column's mean: {_listed(filled)}")
    if filled := [f"{origin.name(k)} ({absent[k].sum()})" for k in absent if k in texts]:
        notes.append(f"missing values of text made a value of their own, {_MISSING!r}: {_listed(filled)}")
    return keep, True, notes


def _varying(
    numbers: pd.DataFrame, texts: dict[Key, pd.Series], origin: Origin
) -> tuple[list[Key], list[Key], list[str]]:
    """Return the columns of numbers and of text that are not constant, and a note on those that are."""
    values = numbers.to_numpy()
    # A gap is filled with the mean, so it makes no difference where all other values are the same.
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
            f"every input column of {origin.shown} is constant; expected at least one that varies"
        )
    dropped = [key for key in [*numbers.columns, *texts] if key not in {*varying, *varying_texts}]
    if not dropped:
        return varying, varying_texts, []
    shown = _listed([str(key) if origin.names is None else origin.name(key) for key in dropped])
    return (
        varying,
        varying_texts,
        [f"{len(dropped)} constant column{'s' * (len(dropped) > 1)} dropped: {shown}"],
    )


def _column_encoder(numbers: list[Key], texts: list[Key], fill: bool) -> ColumnTransformer:
    steps: list[Any] = []
    if numbers:
        # Scaled in two steps, for the sake of columns such as years: once they are centred, rounding no longer
        # hides a small standard deviation from StandardScaler, which leaves what looks constant as it is.
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
    encoder = ColumnTransformer(steps, verbose_feature_names_out=False)
    # A user's `sklearn.set_config(transform_output="pandas")` must not reach in here.
    return encoder.set_output(transform="default")


def _listed(words: list[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")
