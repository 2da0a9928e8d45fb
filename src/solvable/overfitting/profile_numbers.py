r"""The numbers of a noise profile: errors and sensitivity by noise level and training size."""

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

# A regression counts as interpolating if its training error is below this share of the noise's variance.
FITTED = 1e-3
# In a verdict, wrong labels count as fitted if at most this share of them is not.
_NEARLY = 0.02
_FORMAT = "solvable noise profile 2"


@dataclass(frozen=True, eq=False)
class ProfileNumbers:
    r"""Test error of a procedure trained on labels with a corrupted share $p$, tested on clean ones.

    The normalised sensitivity is the cost of a corrupted label, in units of its cost to a 1-nearest neighbour, or to
    any procedure that answers with the label of a random similar sample:

    $$ s_n(p) = \frac{e_n(p) - e_n(0)}{p\,\left(1 - e_n(0)\,\frac{K}{K-1}\right)}. $$

    0: noise is ignored; 1: it is passed on in full, at every $n$ and $p$. For a number it is $V_n = [\text{mse}(\sigma)
    - \text{mse}(0)]/\sigma^2$.

    Attributes:
        data: dims `trial`, `n_train`, `noise_level` (rising, 0 first), with `test_error` on clean labels (share of
            wrong answers; for a number the squared error, summed over outputs), `train_error` on the noisy training
            labels, and `seconds` of fitting; attributes describe the task.
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
        """Return the profile of measured errors.

        Args:
            task: data of the measurement.
            n_train: training sizes, rising.
            noise_levels: rising, 0 first.
            test_error: `(trials, sizes, levels)`, clean.
            train_error: `(trials, sizes, levels)`, on the noisy labels.
            seconds: of fitting, `(trials, sizes, levels)`.
            estimator: its description.
            notes: sentences on the measurement, added to those of the task.
        """
        dims = ("trial", "n_train", "noise_level")
        variables = {"test_error": test_error, "train_error": train_error}
        if seconds is not None:
            variables["seconds"] = seconds
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in variables.items()}
        classes = task.n_classes is not None
        noise = "share of corrupted labels" if classes else "noise (std of the target)"
        levels = np.asarray(noise_levels, dtype=np.float64)
        data = xr.Dataset(
            {name: (dims, array) for name, array in arrays.items()},
            {
                "trial": np.arange(len(arrays["test_error"])),
                "n_train": ("n_train", np.asarray(n_train), {"long_name": "training samples"}),
                "noise_level": ("noise_level", levels, {"long_name": noise}),
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
        """Number of classes, or None if the target is a number."""
        return int(self.data.attrs["n_classes"]) or None

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.data.sizes["trial"]

    @property
    def estimator(self) -> str:
        """Description of the estimator."""
        return str(self.data.attrs["estimator"])

    @property
    def recorded_notes(self) -> tuple[str, ...]:
        """Notes on data and measurement, a sentence each."""
        return tuple(note for note in str(self.data.attrs["notes"]).split("\n") if note)

    @property
    def test_error(self) -> xr.DataArray:
        """Mean test error on clean labels, dims `n_train`, `noise_level`."""
        return mean_and_error(self.data.test_error)[0]

    @property
    def test_error_standard_error(self) -> xr.DataArray:
        """Its standard error over trials; NaN for one trial. It does not include the choice of a user's test set."""
        return mean_and_error(self.data.test_error)[1]

    @property
    def interpolates(self) -> xr.DataArray:
        """Whether the noisy training labels were fitted in every trial, dims `n_train`, `noise_level`.

        For classes: no training error; for a number: at most 0.1 % of the noise's variance.
        """
        worst = self.data.train_error.max("trial")
        if self.n_classes:
            return worst == 0.0
        # Without noise the limit is relative to the target's variance.
        level = self.data.noise_level.where(self.data.noise_level > 0, 1.0)
        return worst <= FITTED * (level * float(self.data.attrs["noise_scale"])) ** 2

    @property
    def _full_cost(self) -> xr.DataArray:
        """Cost of noise passed on in full: the denominator of the sensitivity, for levels above 0."""
        level = self.data.noise_level[1:]
        if self.n_classes is None:
            return (level * float(self.data.attrs["noise_scale"])) ** 2
        clean = self.data.test_error.isel(noise_level=0, drop=True)
        skill = 1.0 - clean.mean("trial") / chance_error(self.n_classes)
        # NaN if the error without noise is within two standard errors of chance.
        doubt = 2.0 * mean_and_error(clean)[1].fillna(0.0) / chance_error(self.n_classes)
        return skill.where(skill > doubt) * level * float(self.data.attrs["flip_share"])

    @property
    def sensitivity(self) -> xr.DataArray:
        r"""The normalised sensitivity $s_n(p)$, or $V_n$, dims `n_train`, `noise_level` (those above 0)."""
        error = self.test_error
        change = error.isel(noise_level=slice(1, None)) - error.isel(noise_level=0, drop=True)
        # Means of the same counts in another order differ in the last digit.
        s = change.where(abs(change) > 1e-12 * abs(error).max(), 0.0) / self._full_cost
        return s.transpose("n_train", "noise_level").rename("sensitivity")

    @property
    def standard_error(self) -> xr.DataArray:
        """Standard error of the sensitivity over trials, paired within each; NaN for one trial."""
        clean = self.data.test_error.isel(noise_level=0, drop=True)
        change = self.data.test_error.isel(noise_level=slice(1, None)) - clean
        cost = self._full_cost
        residual = change / cost
        if self.n_classes:
            # The delta method: the ratio of two correlated means, to first order.
            level = self.data.noise_level[1:] * float(self.data.attrs["flip_share"])
            skill = 1.0 - clean / chance_error(self.n_classes)
            residual = residual - self.sensitivity * level * skill / cost
        return mean_and_error(residual)[1].transpose("n_train", "noise_level").rename("standard_error")

    def verdict(self, noise_level: float | None = None, *, strict: bool = False) -> Classification:
        """Return the kind of overfitting: benign, tempered, catastrophic, or undecided.

        Args:
            noise_level: a measured level to judge by; by default the one nearest to 0.2 (for a number: the highest).
            strict: allow for a cost that falls as slowly as n^-0.05, not n^-0.25; decides less often.

        Raises:
            InputError: for a level that was not measured.
        """
        level, facts = self.judged_level(noise_level), self.data.attrs
        s = self.sensitivity.sel(noise_level=level).to_numpy()
        known = np.isfinite(s)
        if not known.any():
            raise InputError(
                f"{self.estimator} is no better than chance without noise at any size, so the cost of noise is "
                "undefined; give more data, or another estimator"
            )
        # A forest that misses one label of thousands still fits the noise; the notes give the number missed.
        unfitted = self.data.train_error.mean("trial").sel(noise_level=level)
        nearly = unfitted <= _NEARLY * level * bool(self.n_classes)
        return classify_overfitting(
            self.n_train[known],
            s[known],
            (self.standard_error.sel(noise_level=level).to_numpy() * self.widening)[known],
            noise_level=level * (float(facts["flip_share"]) if self.n_classes else 1.0),
            n_classes=self.n_classes,
            n_trials=self.n_trials,
            strict=strict,
            interpolates=bool((self.interpolates.sel(noise_level=level) | nearly).all()),
            symmetric=facts["channel"] != "matrix",
            one_test_set=int(facts["n_test"]) if facts["one_test_set"] else None,
        )

    @property
    def widening(self) -> NDArray[np.float64]:
        r"""Factor of a verdict for the standard errors at each size, since trials share samples.

        Trials that train on more than half of all samples differ less than with new samples, up to twofold for trees.
        At the whole pool the variance of a mean of $J$ trials is $1/J + \rho$ of one trial's rather than $1/J$, $\rho$
        the ratio of test to training samples (Nadeau and Bengio, Inference for the generalization error, Machine
        Learning 2003; a quarter for a test set given by the user); from half of the pool on it rises linearly.
        """
        facts = self.data.attrs
        ratio = 0.25 if facts["one_test_set"] else facts["n_test"] / facts["n_pool"]
        return widened(self.n_train, self.n_trials, facts["n_pool"], ratio)

    def judged_level(self, noise_level: float | None = None) -> float:
        """Return the measured level that equals `noise_level` up to rounding; by default that of `verdict`.

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
        r"""Return the drop in test error from cleaning labels, dim `n_train`, by interpolation of the measured curve.

        Interpolation is linear in $p$; for a number it is linear in $\sigma^2$, which is exact for linear smoothers.

        Args:
            noise_level: of the present labels, within the levels measured.
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
                f"got cleaning from {high:g} to {low:g}; expected a lower level afterwards, and none above {most:g}, "
                "the highest measured"
            )
        power = 1 if self.n_classes else 2
        error = self.data.test_error.assign_coords(noise_level=self.noise_levels**power)
        at = error.interp(noise_level=[low**power, high**power])
        gain = at.isel(noise_level=1, drop=True) - at.isel(noise_level=0, drop=True)
        mean, error = mean_and_error(gain)
        return mean.assign_coords(standard_error=("n_train", error.data)).rename("gain")

    def reference(self) -> xr.Dataset:
        """Return reference curves for the same noise, dim `noise_level`.

        For classes: `bayes`, `sampler` (also the limit of 1-NN) and `chance`, errors on clean labels for a task without
        errors of its own. For a number: `sampler` is the noise variance itself, to be added to the error without noise.
        """
        level = self.noise_levels
        if self.n_classes is None:
            curves = {"bayes": 0.0 * level, "sampler": (level * float(self.data.attrs["noise_scale"])) ** 2}
        else:
            chance = chance_error(self.n_classes)
            share = np.minimum(level * float(self.data.attrs["flip_share"]), chance)
            curves = {
                "bayes": bayes_profile(share, self.n_classes).clean,
                "sampler": sampler_profile(share, self.n_classes).clean,
                "chance": np.full(len(level), chance),
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
        """Write the profile as netCDF, for `NoiseProfile.load` or `xarray.open_dataset`."""
        if Path(path).suffix != ".nc":
            raise InputError(
                f"the profile is written as netCDF; expected a file that ends in .nc, got {str(path)!r}"
            )
        write_netcdf(self.data, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return a saved profile.

        Raises:
            InputError: when there is no such file, or it holds something else.
        """
        if not Path(path).is_file():
            raise InputError(f"there is no file {str(path)!r}; expected a profile saved by NoiseProfile.save")
        try:
            data = read_netcdf(Path(path))
        except Exception:  # HDF5 raises many kinds of exceptions
            data = xr.Dataset()
        if data.attrs.get("format") != _FORMAT:
            raise InputError(
                f"{str(path)!r} holds no noise profile of this version; expected one saved by NoiseProfile.save"
            )
        return cls(data)
