"""Records and trials that were damaged on the disk are noticed, named, and hinder nothing else."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from solvable.cli import main
from solvable.errors import InputError
from solvable.lab import Record, TrialStore, find_record, records, run
from solvable.lab.record import damaged_records
from solvable.wings import Wing
from toy_wing.study import Parameters
from toy_wing.study import plain as study

WINGS = (Wing("toy", studies={"toy": "toy_wing.study:study"}),)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with two sound records, and the folder of the second."""
    folder = tmp_path_factory.mktemp("sound")
    run(study, Parameters(trials=2), runs_dir=folder, quiet=True)
    run(study, Parameters(trials=3), runs_dir=folder, quiet=True)
    # Those of one second are in the order of their hashes.
    return folder, max((record.path for record in records(folder)), key=lambda path: path.name)


@pytest.fixture
def folders(sound, tmp_path):
    """A copy of it, which may be damaged."""
    runs_dir, (original, second) = tmp_path / "runs", sound
    shutil.copytree(original, runs_dir)
    return runs_dir, runs_dir / second.relative_to(original)


def _changed(key, value):
    def damage(folder: Path) -> None:
        facts = json.loads((folder / "record.json").read_text())
        facts[key] = value
        (folder / "record.json").write_text(json.dumps(facts))

    return damage


def _changed_back(folder: Path) -> None:
    facts = json.loads((folder / "record.json").read_text())
    del facts["sha256"]
    (folder / "record.json").write_text(json.dumps(facts))


def _half(name):
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
    )


def _pipe(name):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def _device(name):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    return damage


def _gone(name):
    return lambda folder: (folder / name).unlink()


DAMAGES = {
    "a number as time": (_changed("created", 5), "record.json was changed"),
    "no time": (_changed("created", None), "record.json was changed"),
    "a time without zone": (_changed("created", "2026-01-01T00:00:00"), "record.json was changed"),
    "a word as time": (_changed("created", "x"), "record.json was changed"),
    "a field of the future": (_changed("future", [1]), "record.json was changed"),
    "no checksums": (_changed("sha256", {}), "record.json was changed"),
    "of an earlier version": (_changed_back, "record.json has no checksums, as in an earlier version"),
    "another checksum": (_changed("sha256", {"record.json": "0"}), "record.json was changed"),
    "a list": (lambda folder: (folder / "record.json").write_text("[1]"), "record.json was changed"),
    "nothing": (lambda folder: (folder / "record.json").write_bytes(b""), "record.json was changed"),
    "half a table": (_half("comparison.csv"), "comparison.csv was changed"),
    "half a measurement": (_half("measurement.nc"), "measurement.nc was changed"),
    "a pipe": (_pipe("measurement.nc"), "measurement.nc cannot be read (it is no regular file)"),
    "a device": (_device("comparison.csv"), "comparison.csv cannot be read (it is no regular file)"),
    **{
        f"no {name}": (_gone(name), f"{name} is missing")
        for name in ("record.json", "comparison.csv", "parameters.json", "environment.json", "prediction.nc")
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_listed_and_hinders_nothing(folders, damage, capsys):
    (runs_dir, folder), (inflict, problem) = folders, DAMAGES[damage]
    trials = Record.load(folder).parameters["trials"]
    inflict(folder)
    options = ("--runs-dir", str(runs_dir))
    # Listed beside the sound one, with the way on.
    main(["runs", *options], WINGS)
    out = " ".join(capsys.readouterr().out.split())
    assert f"damaged toy/{folder.name}: {problem}" in out
    assert "solvable runs delete NAME" in out
    assert [one.path for one in damaged_records(runs_dir)] == [folder]
    (sound,) = records(runs_dir)
    assert find_record(sound.name, runs_dir).path == sound.path
    # Named, by its name and as the latest one.
    for command in (["show", folder.name], ["runs", "open", folder.name], ["show", "latest"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, *options], WINGS)
        assert stop.value.code == 2
        assert f"record toy/{folder.name} is damaged: {problem}; delete it with" in capsys.readouterr().err
    # The same run can be made again, under another name, and its trials are kept.
    again = run(study, Parameters(trials=trials), runs_dir=runs_dir, quiet=True)
    assert again.path != folder
    xr.testing.assert_identical(Record.load(again.path).prediction, again.prediction)
    main(["runs", "delete", folder.name, *options, "--quiet"], WINGS)
    assert not folder.exists()
    assert {one.path for one in records(runs_dir)} == {sound.path, again.path}


def test_a_note_in_ones_report_costs_no_record(folders, capsys):
    runs_dir, folder = folders
    with (folder / "report.html").open("a") as report:
        report.write("<p>Send this to Ada.</p>")
    (folder / "figure.png").unlink()
    assert damaged_records(runs_dir) == []
    main(["show", folder.name, "--runs-dir", str(runs_dir)], WINGS)
    assert "Twice the sample" in capsys.readouterr().out


def test_a_damaged_record_is_found_by_its_path(folders):
    runs_dir, folder = folders
    (folder / "record.json").unlink()
    main(["runs", "delete", str(folder), "--runs-dir", str(runs_dir), "--quiet"], WINGS)
    assert not folder.exists()


def test_foreign_folders_are_no_records(folders):
    runs_dir, _ = folders
    (runs_dir / "toy" / "notes").mkdir()
    (runs_dir / "tensorboard" / "events").mkdir(parents=True)
    (runs_dir / "toy" / "20260101-000000-0123456").write_text("a file")
    assert damaged_records(runs_dir) == []
    assert len(records(runs_dir)) == 2
    with pytest.raises(InputError, match="holds no record"):
        Record.load(runs_dir / "toy" / "notes")


def test_a_record_that_is_a_link_is_unlinked(folders, tmp_path):
    runs_dir, folder = folders
    target = tmp_path / "elsewhere" / folder.name
    target.parent.mkdir()
    folder.rename(target)
    folder.symlink_to(target)
    main(["runs", "delete", folder.name, "--runs-dir", str(runs_dir), "--quiet"], WINGS)
    assert not folder.is_symlink()
    assert Record.load(target).study == "toy"


def test_a_cache_on_another_disk_is_cleared_and_stays_linked(folders, tmp_path):
    runs_dir, _ = folders
    (runs_dir / ".cache").rename(tmp_path / "large disk")
    (runs_dir / ".cache").symlink_to(tmp_path / "large disk")
    main(["runs", "clear-cache", "--runs-dir", str(runs_dir), "--quiet"], WINGS)
    assert (runs_dir / ".cache").is_symlink()
    assert list((tmp_path / "large disk").iterdir()) == []


STORES = {
    "netCDF": lambda folder: TrialStore.of_datasets(folder, "trial-{}.nc".format),
    "JSON": lambda folder: TrialStore.of_tuples(folder, "trial-{}.json".format, lambda *values: values),
}
OUTCOMES = {
    "netCDF": xr.Dataset({"mse": ("n", np.random.default_rng(0).standard_normal(40))}, attrs={"notes": "a"}),
    "JSON": (0.25, 1e-300, 3.0, ["a warning"]),
}


@pytest.mark.parametrize("kind", STORES)
def test_no_flipped_bit_changes_a_number(tmp_path, kind):
    store, outcome = STORES[kind](tmp_path), OUTCOMES[kind]
    store.kept((0,), outcome)
    path = store.path((0,))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(8 * len(whole), min(300, 8 * len(whole)), replace=False).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert store.found([(0,)]) == {}, place
    for cut in (b"", whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"\n"):
        path.write_bytes(cut)
        assert store.found([(0,)]) == {}
    # It is written again, also in place of what could be read without end.
    store.kept((0,), outcome)
    assert path.read_bytes() == whole
    for special in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path.unlink()
        special(path)
        assert store.found([(0,)]) == {}
        store.kept((0,), outcome)
        assert path.read_bytes() == whole


def test_a_cache_of_other_programs_is_left_alone(tmp_path, capsys):
    run(study, Parameters(trials=1), runs_dir=tmp_path, quiet=True)
    others = [
        tmp_path / ".cache" / "mesa" / name for name in ("index", "0123456789abcdef/shader", "toy/trial-1")
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not ours")
    main(["runs", "--runs-dir", str(tmp_path), "--json"], WINGS)
    assert [one["study"] for one in json.loads(capsys.readouterr().out)["cache"]] == ["toy"]
    main(["runs", "clear-cache", "--runs-dir", str(tmp_path), "--quiet"], WINGS)
    assert all(path.read_text() == "not ours" for path in others)
    assert list(tmp_path.rglob("trial-0*")) == []
    assert not (tmp_path / ".cache" / "toy").exists()
