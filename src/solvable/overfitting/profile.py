r"""The numbers of a noise profile: what label noise costs a model, by noise level and training size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.lab.compare import mean_and_error
from solvable.lab.files import read_netcdf, write_netcdf
from solvable.overfitting.classification import Classification
from solvable.overfitting.classify import classify_overfitting
from solvable.overfitting.reference import bayes_profile, chance_error, sampler_profile
from solvable.overfitting.task import Task, widened

if TYPE_CHECKING:
    import pandas as pd

# Below this share of the noise's variance a regression counts as interpolating.
FITTED = 1e-3
# Wrong labels that may be left over, as a share of them, where a verdict calls them fitted.
_NEARLY = 0.02
_FORMAT = "solvable noise profile 2"


@dataclass(frozen=True, eq=False)
class ProfileNumbers:
    r"""Test error of a procedure trained on labels of which a share $p$ is corrupted, tested on clean ones.

    The normalised sensitivity is what one corrupted label in a hundred costs, in units of what it costs a 1-nearest
    neighbour or anyone who answers with the label of a random look-alike:

    $$ s_n(p) = \frac{e_n(p) - e_n(0)}{p\,\left(1 - e_n(0)\,\frac{K}{K-1}\right)}. $$

    0: noise is ignored; 1: it is passed on in full, at every $n$ and $p$. For a number it is $V_n = [\text{mse}(\sigma)
    - \text{mse}(0)]/\sigma^2$.

    Attributes:
        data: dims `trial`, `n_train`, `noise_level` (rising, 0 first), with `test_error` on clean labels (share of
            wrong answers; for a number the squared error, summed over outputs), `train_error` on the noisy labels that
            were trained on, and `seconds` of fitting; attributes say the task.
    """

    data: xr.Dataset

    @classmethod
    def of(
        cls,
        task: Task,
        n_train: ArrayLike,
        noise_levels: ArrayLike,
        test_error: ArrayLike,
        train_error: ArrayLike,
        seconds: ArrayLike | None = None,
        *,
        estimator: str,
        notes: Sequence[str] = (),
    ) -> Self:
        """Return the profile of errors that were measured on a task.

        Args:
            task: what was measured on.
            n_train: training sizes, rising.
            noise_levels: rising, 0 first.
            test_error: `(trials, sizes, levels)`, clean.
            train_error: `(trials, sizes, levels)`, on the noisy labels.
            seconds: of fitting, `(trials, sizes, levels)`.
            estimator: what was trained, in words.
            notes: more of what a reader should know.
        """
        dims = ("trial", "n_train", "noise_level")
        errors = np.asarray(test_error, dtype=np.float64)
        variables = {"test_error": errors, "train_error": train_error}
        if seconds is not None:
            variables["seconds"] = seconds
        classes = task.n_classes is not None
        data = xr.Dataset(
            {name: (dims, np.asarray(values, dtype=np.float64)) for name, values in variables.items()},
            {
                "trial": np.arange(len(errors)),
                "n_train": ("n_train", np.asarray(n_train), {"long_name": "training samples"}),
                "noise_level": (
                    "noise_level",
                    np.asarray(noise_levels, dtype=np.float64),
                    {"long_name": "share of corrupted labels" if classes else "noise (std of the target)"},
                ),
            },
            {
                "format": _FORMAT,
                "estimator": estimator,
                "loss": "0-1" if classes else "squared",
                "n_classes": task.n_classes or 0,
                "n_test": task.n_test,
                "n_pool": task.n_pool,
                "one_test_set": int(task.X_test is not None),
                "channel": "gaussian" if not classes else "symmetric" if task.symmetric else "matrix",
                "flip_share": task.flip_share,
                "noise_scale": task.noise_scale,
                "random_state": task.random_state,
                "notes": "\n".join((*task.notes, *notes)),
            },
        )
        return cls(data)

    @property
    def n_train(self) -> NDArray[np.int64]:
        """Training sizes, rising."""
        return self.data.n_train.to_numpy()

    @property
    def noise_levels(self) -> NDArray[np.float64]:
        """Noise levels, 0 first."""
        return self.data.noise_level.to_numpy()

    @property
    def n_classes(self) -> int | None:
        """How many classes, or None where the target is a number."""
        return int(self.data.attrs["n_classes"]) or None

    @property
    def n_trials(self) -> int:
        """How many trials."""
        return self.data.sizes["trial"]

    @property
    def estimator(self) -> str:
        """What was trained."""
        return str(self.data.attrs["estimator"])

    @property
    def recorded_notes(self) -> tuple[str, ...]:
        """What was noted of data and measurement, a sentence each."""
        return tuple(note for note in str(self.data.attrs["notes"]).split("\n") if note)

    @property
    def test_error(self) -> xr.DataArray:
        """Mean test error on clean labels, dims `n_train`, `noise_level`."""
        return mean_and_error(self.data.test_error)[0]

    @property
    def test_error_standard_error(self) -> xr.DataArray:
        """Its standard error over trials; NaN of one trial. Where a test set was given, its choice is not in it."""
        return mean_and_error(self.data.test_error)[1]

    @property
    def interpolates(self) -> xr.DataArray:
        """Whether the noisy training labels were fitted in every trial, dims `n_train`, `noise_level`.

        For classes: no training error; for a number: less than 0.1 % of the noise's variance.
        """
        worst = self.data.train_error.max("trial")
        if self.n_classes:
            return worst == 0.0
        # Without noise the target's own variance is the measure.
        level = self.data.noise_level.where(self.data.noise_level > 0, 1.0)
        return worst <= FITTED * (level * float(self.data.attrs["noise_scale"])) ** 2

    @property
    def _full_cost(self) -> xr.DataArray:
        """What noise costs where it is passed on in full: the denominator of the sensitivity, levels above 0."""
        level = self.data.noise_level[1:]
        if self.n_classes is None:
            return (level * float(self.data.attrs["noise_scale"])) ** 2
        clean = self.data.test_error.isel(noise_level=0, drop=True)
        skill = 1.0 - clean.mean("trial") / chance_error(self.n_classes)
        # No better than chance without noise, as far as trials can tell: nothing is left that noise could cost.
        doubt = 2.0 * mean_and_error(clean)[1].fillna(0.0) / chance_error(self.n_classes)
        return skill.where(skill > doubt) * level * float(self.data.attrs["flip_share"])

    @property
    def sensitivity(self) -> xr.DataArray:
        r"""The normalised sensitivity $s_n(p)$, or $V_n$, dims `n_train`, `noise_level` (those above 0)."""
        error = self.test_error
        change = error.isel(noise_level=slice(1, None)) - error.isel(noise_level=0, drop=True)
        # Means of the same counts in another order differ in the last digit.
        found = change.where(abs(change) > 1e-12 * abs(error).max(), 0.0) / self._full_cost
        return found.transpose("n_train", "noise_level").rename("sensitivity")

    @property
    def standard_error(self) -> xr.DataArray:
        """Standard error of the sensitivity over trials, paired within each; NaN of one trial."""
        clean = self.data.test_error.isel(noise_level=0, drop=True)
        change = self.data.test_error.isel(noise_level=slice(1, None)) - clean
        cost = self._full_cost
        residual = change / cost
        if self.n_classes:
            # The ratio of two means that vary together, to first order; see the delta method.
            level = self.data.noise_level[1:] * float(self.data.attrs["flip_share"])
            residual = (
                residual - self.sensitivity * level * (1.0 - clean / chance_error(self.n_classes)) / cost
            )
        return mean_and_error(residual)[1].transpose("n_train", "noise_level").rename("standard_error")

    def verdict(self, noise_level: float | None = None, *, strict: bool = False) -> Classification:
        """Return which kind of overfitting this is: benign, tempered, catastrophic, or undecided.

        Args:
            noise_level: the level to judge by, one of those measured; by default the one nearest to 0.2 (for a number:
                the highest).
            strict: allow for a cost that falls as slowly as n^-0.05, not n^-0.25; decides less often.

        Raises:
            InputError: for a level that was not measured.
        """
        level = self.judged_level(noise_level)
        measured = self.sensitivity.sel(noise_level=level)
        known = np.isfinite(measured.to_numpy())
        if not known.any():
            raise InputError(
                f"{self.estimator} is no better than chance without noise at any size, so noise has nothing to take "
                "away; expected something learned: give more data, or another estimator"
            )
        # A forest that misses one label of thousands fits the noise all the same; the notes say what it misses.
        missed = self.data.train_error.mean("trial").sel(noise_level=level)
        fitted = bool(
            (
                self.interpolates.sel(noise_level=level) | (missed <= _NEARLY * level * bool(self.n_classes))
            ).all()
        )
        return classify_overfitting(
            self.n_train[known],
            measured.to_numpy()[known],
            (self.standard_error.sel(noise_level=level).to_numpy() * self.widening)[known],
            noise_level=level * (float(self.data.attrs["flip_share"]) if self.n_classes else 1.0),
            n_classes=self.n_classes,
            n_trials=self.n_trials,
            strict=strict,
            interpolates=fitted,
            symmetric=self.data.attrs["channel"] != "matrix",
            one_test_set=int(self.data.attrs["n_test"]) if self.data.attrs["one_test_set"] else None,
        )

    @property
    def widening(self) -> NDArray[np.float64]:
        r"""What a verdict multiplies standard errors with at each size, since trials share samples.

        Trials that train on more than half of all samples differ less than new samples would make them, up to twofold
        for trees. At the whole pool the variance of a mean of $J$ trials is $1/J + \rho$ of one trial's rather than
        $1/J$, $\rho$ the ratio of test to training samples (Nadeau and Bengio, Inference for the generalization error,
        Machine Learning 2003; a quarter for a test set that was given); from half of the pool on we go there linearly.
        """
        facts = self.data.attrs
        ratio = 0.25 if facts["one_test_set"] else facts["n_test"] / facts["n_pool"]
        return widened(self.n_train, self.n_trials, facts["n_pool"], ratio)

    def judged_level(self, noise_level: float | None = None) -> float:
        """Return the measured level that is meant; by default the one that `verdict` judges by.

        Raises:
            InputError: for a level that was not measured.
        """
        levels = self.noise_levels[1:]
        if noise_level is None:
            return float(levels[np.abs(levels - 0.2).argmin()] if self.n_classes else levels[-1])
        near = levels[np.abs(levels - noise_level).argmin()]
        if abs(near - noise_level) > 1e-9:
            raise InputError(
                f"noise level {noise_level:g} was not measured; expected one of "
                f"{', '.join(f'{level:g}' for level in levels)}"
            )
        return float(near)

    def cleaning_gain(self, noise_level: float, cleaned_to: float = 0.0) -> xr.DataArray:
        r"""Return by how much cleaning labels lowers the test error, dim `n_train`, read off the measured curve.

        Between measured levels the curve is taken as straight in $p$; for a number in $\sigma^2$, in which it is
        straight for every linear smoother.

        Args:
            noise_level: of the labels as they are, within the levels measured.
            cleaned_to: of the labels after cleaning, below `noise_level`.

        Returns:
            mean over trials, with a coordinate `standard_error`.

        Raises:
            InputError: for levels outside those measured.
        """
        most = float(self.noise_levels[-1])
        high = one_number("noise_level", noise_level, at_least=0.0)
        low = one_number("cleaned_to", cleaned_to, at_least=0.0)
        if not low < high <= most:
            raise InputError(
                f"cleaning from {high:g} to {low:g} was asked for; expected a lower level afterwards, and none above "
                f"{most:g}, the highest measured"
            )
        power = 1 if self.n_classes else 2
        error = self.data.test_error.assign_coords(noise_level=self.noise_levels**power)
        at = error.interp(noise_level=[low**power, high**power])
        gain = at.isel(noise_level=1, drop=True) - at.isel(noise_level=0, drop=True)
        mean, error = mean_and_error(gain)
        return mean.assign_coords(standard_error=("n_train", error.data)).rename("gain")

    def reference(self) -> xr.Dataset:
        """Return reference curves over the noise level, dim `noise_level`: what others would make of the same noise.

        For classes: `bayes`, `sampler` (the limit of 1-NN too) and `chance`, errors on clean labels for a task without
        error of its own. For a number: `sampler` is the noise variance itself, on top of what is lost without noise.
        """
        level = self.noise_levels
        if self.n_classes is None:
            curves = {"bayes": 0.0 * level, "sampler": (level * float(self.data.attrs["noise_scale"])) ** 2}
        else:
            share = level * float(self.data.attrs["flip_share"])
            share = np.minimum(share, chance_error(self.n_classes))
            curves = {
                "bayes": bayes_profile(share, self.n_classes).clean,
                "sampler": sampler_profile(share, self.n_classes).clean,
                "chance": np.full(len(level), chance_error(self.n_classes)),
            }
        return xr.Dataset(
            {name: ("noise_level", curve) for name, curve in curves.items()}, {"noise_level": level}
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return one row for each size and noise level: errors, their standard errors, sensitivity, interpolation."""
        table = xr.Dataset(
            {
                "test_error": self.test_error,
                "test_error_standard_error": self.test_error_standard_error,
                "train_error": self.data.train_error.mean("trial"),
                "sensitivity": self.sensitivity,
                "sensitivity_standard_error": self.standard_error,
                "interpolates": self.interpolates,
            },
        ).reindex(noise_level=self.noise_levels)
        return table.to_dataframe().reset_index()

    def save(self, path: str | Path) -> None:
        """Write the profile as netCDF; `NoiseProfile.load` reads it again, and so does `xarray.open_dataset`."""
        if Path(path).suffix != ".nc":
            raise InputError(
                f"the profile is written as netCDF; expected a file that ends in .nc, got {str(path)!r}"
            )
        try:
            write_netcdf(self.data, Path(path))
        except OSError:
            raise InputError(
                f"{str(path)!r} cannot be written; name a file in a folder that exists and is yours"
            ) from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return a profile that was saved.

        Raises:
            InputError: when there is no such file, or it holds something else.
        """
        if not Path(path).is_file():
            raise InputError(f"there is no file {str(path)!r}; expected a profile saved by NoiseProfile.save")
        try:
            data = read_netcdf(Path(path))
        except Exception:  # HDF5 raises whatever it stumbles over first
            data = xr.Dataset()
        if data.attrs.get("format") != _FORMAT:
            raise InputError(
                f"{str(path)!r} holds no noise profile, or one of another version; expected one saved by "
                "NoiseProfile.save"
            )
        return cls(data)
