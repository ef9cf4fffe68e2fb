"""`bench pack`: what gets into a pack, and what comes out of it there."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

import datasets
from bench.cli.main import main
from bench.errors import BenchError
from bench.packing import pack
from bench.packing import wheels as pack_wheels
from datasets import mnist_scale_cache


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    root = tmp_path / "checkout"
    (root / "bench").mkdir(parents=True)
    (root / "bench" / "code.py").write_text("x = 1\n")
    (root / "umlaut ä.md").write_text("text\n")
    (root / "pyproject.toml").write_text('[project]\nname = "equiscale"\nversion = "9.8.7"\n')
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    (root / "untracked.txt").write_text("not known\n")
    (root / "bench" / "__pycache__").mkdir()
    monkeypatch.setattr(pack, "ROOT", root)
    monkeypatch.setattr(pack, "version", lambda: "9.8.7")
    monkeypatch.setattr(datasets, "prepare", lambda tasks, realizations: None)
    monkeypatch.setattr(mnist_scale_cache, "pack", lambda n, size, folder: written(folder / f"{size}_{n}.npz", b"images"))
    return root


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def written(path, content):
    path.write_bytes(content)
    return path


def wheel(folder, name="some_package-1.2-py3-none-any.whl", members=("some_package/__init__.py",)):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in (*members, f"{name[: name.index('-')]}-1.2.dist-info/METADATA"):
            archive.writestr(member, f"# {member}\n")
    return folder / name


def set_up(folder):
    done = subprocess.run(
        ["sh", folder / "setup.sh"], capture_output=True, text=True, check=True, cwd="/", env={"PATH": os.environ["PATH"]}
    )
    return done.stdout


def test_a_pack_unpacks_to_the_tracked_files_with_commit_and_packages(checkout, tmp_path):
    packed = pack.pack(tmp_path / "p", [wheel(tmp_path)], ["mnist-scale-28", "mnist-scale-56+"], [0, 3])
    there = tmp_path / "p"
    assert f"cd '{there}' && python3 -m bench sprint" in set_up(there)
    files = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    assert files == {
        "setup.sh", "equiscale.tar.gz", "bench/code.py", "umlaut ä.md", "pyproject.toml", "COMMIT",
        "equiscale-9.8.7.dist-info/METADATA", "some_package/__init__.py", "some_package-1.2.dist-info/METADATA",
        "data/50000_0.npz", "data/50000_3.npz",
    }  # fmt: skip
    assert (there / "COMMIT").read_text() == git(checkout, "rev-parse", "HEAD") + "\n"
    assert [item.path.name for item in packed] == ["equiscale.tar.gz", "50000_0.npz", "50000_3.npz", "setup.sh"]
    assert all(item.size == item.path.stat().st_size for item in packed)
    assert "some_package 1.2" in packed[0].what


def test_changes_are_taken_along_and_said(checkout, tmp_path):
    (checkout / "bench" / "code.py").write_text("x = 2\n")
    (checkout / "umlaut ä.md").unlink()
    packed = pack.pack(tmp_path / "p", [], ["mnist-scale-28"], [0])
    set_up(tmp_path / "p")
    assert (tmp_path / "p" / "COMMIT").read_text() == git(checkout, "rev-parse", "HEAD") + "-dirty\n"
    assert (tmp_path / "p" / "bench" / "code.py").read_text() == "x = 2\n"
    assert not (tmp_path / "p" / "umlaut ä.md").exists()
    assert "and changes to it" in packed[0].what


def test_variables_that_name_another_repository_are_not_followed(checkout, tmp_path, monkeypatch):
    before = pack.tracked_files(pack.ROOT)
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert pack.tracked_files(pack.ROOT) == before != []


def test_stl10_travels_in_parts_and_is_whole_again(checkout, tmp_path, stl10_of, monkeypatch):
    files = stl10_of(train=3, test=2)
    user = tmp_path / "user"
    user.mkdir()
    for name, content in files.items():
        (user / name).write_bytes(content)
    monkeypatch.setenv("BENCH_DATA", str(user))
    monkeypatch.setattr(pack, "PART_BYTES", 10_000)
    packed = pack.pack(tmp_path / "p", [], ["stl10+"], [0])
    sent = [item for item in packed if ".part" in item.path.name]
    assert len(sent) == 9 + 1 + 6 + 1 and max(item.size for item in sent) == 10_000  # 82,944, 3, 55,296 and 2 bytes
    set_up(tmp_path / "p")
    there = tmp_path / "p" / "data" / "stl10_binary"
    assert {path.name: path.read_bytes() for path in there.iterdir()} == files
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "p" / "data"))
    assert datasets.load("stl10+", 0, "train")[0].shape == (3, 3, 96, 96)


@pytest.mark.parametrize(("size", "parts"), [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (2_500_000, 250_000)])
def test_parts_are_of_at_most_their_size(tmp_path, size, parts):
    content = bytes(range(250)) * (size // 250) + bytes(size % 250)
    part_bytes = 10 if parts < 3 else 1_200_000
    made = pack.split_file(written(tmp_path / "whole", content), tmp_path, part_bytes)
    assert len(made) == (parts if parts < 3 else 3)
    assert b"".join(path.read_bytes() for path in made) == content
    assert all(path.stat().st_size == part_bytes for path in made[:-1])


def test_no_checkout_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="is no git checkout"):
        pack.tracked_files(tmp_path)


def test_a_folder_with_other_things_is_left_alone(checkout, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    with pytest.raises(BenchError, match="holds other things than a pack"):
        pack.pack(tmp_path / "mine", [], ["mnist-scale-28"], [0])
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    pack.pack(tmp_path / "p", [], ["mnist-scale-28"], [0])
    pack.pack(tmp_path / "p", [], ["mnist-scale-28"], [0])  # an earlier pack may be replaced


def test_missing_data_are_one_line(checkout, tmp_path, monkeypatch, capsys):
    def prepare(tasks, realizations):
        raise datasets.DataError("MNIST could not be had")

    monkeypatch.setattr(datasets, "prepare", prepare)
    with pytest.raises(SystemExit) as ended:
        main(["pack", str(tmp_path / "p")])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "bench: MNIST could not be had\n"
    assert not (tmp_path / "p").exists()


def test_scripts_are_left_and_libraries_moved_to_their_place(tmp_path):
    site = tmp_path / "site"
    made = wheel(tmp_path, members=("x-1.2.data/scripts/x", "x-1.2.data/purelib/x/__init__.py"), name="x-1.2-py3-none-any.whl")
    assert pack_wheels.unpack([made], site, tmp_path / "suite") == ["x 1.2"]
    assert {str(p.relative_to(site)) for p in site.rglob("*") if p.is_file()} == {"x/__init__.py", "x-1.2.dist-info/METADATA"}


@pytest.mark.parametrize("member", ["bench/plan.py", "../outside.py"])
def test_a_wheel_may_not_overwrite_the_suite_or_climb(tmp_path, member):
    (tmp_path / "suite" / "bench").mkdir(parents=True)
    with pytest.raises(BenchError, match="is here already"):
        pack_wheels.unpack([wheel(tmp_path, members=(member,))], tmp_path / "site", tmp_path / "suite")
    assert not (tmp_path / "outside.py").exists()


def test_what_is_no_wheel_is_one_line(tmp_path):
    path = written(tmp_path / "some_package-1.2-py3-none-any.whl", b"no archive")
    with pytest.raises(BenchError, match="cannot be read"):
        pack_wheels.unpack([path], tmp_path / "site", tmp_path)


FITS = {
    "p-1-py3-none-any": True,
    "p-1-py2.py3-none-any": True,
    "p-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64": True,
    "p-1-1-cp39-abi3-manylinux_2_28_x86_64": True,
    "p-1-cp311-cp311-manylinux_2_17_x86_64": False,
    "p-1-cp312-cp312-manylinux_2_17_aarch64": False,
    "p-1-cp312-cp312-win_amd64": False,
}


@pytest.mark.parametrize("name", FITS)
def test_wheels_for_another_python_or_platform_are_refused(tmp_path, name):
    path = written(tmp_path / f"{name}.whl", b"")
    if FITS[name]:
        pack_wheels.check_fit(path, "python3.12", "linux_x86_64")
    else:
        with pytest.raises(BenchError, match=r"is not for python3\.12"):
            pack_wheels.check_fit(path, "python3.12", "linux_x86_64")
    pack_wheels.check_fit(path, None, "linux_x86_64")  # of which Python was not said


def test_what_is_fetched_is_what_the_lock_says(tmp_path, monkeypatch):
    asked = []

    def run(call, **options):
        asked.append((call, Path(call[-1]).read_text()))
        return subprocess.CompletedProcess(call, 1, "", "WARNING: slow\nERROR: no network\nnotice")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(BenchError, match=r"python3\.12 on linux_x86_64 cannot be had: ERROR: no network"):
        pack_wheels.download(pack_wheels.MISSING, "python3.12", "linux_x86_64", tmp_path)
    call, wanted = asked[0]
    lock = pack_wheels.LOCK.read_text()
    lines = [line.removesuffix("\\").strip() for line in wanted.splitlines() if not line.startswith(" ")]
    assert [line.partition("==")[0] for line in lines] == list(pack_wheels.MISSING)
    for line in lines:
        assert f"\n{line} " in f"\n{lock}"
    assert wanted.count("--hash=sha256:") > len(lines) and "--require-hashes" in call and "--no-deps" in call
    assert {"linux_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"} <= set(call)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--for", "python2"], "is no Python"),
        (["--for", "python3.12", "--missing", "left-pad"], "is not in requirements.lock"),
        (["--missing", "typer"], "--missing needs the Python"),
        (["--wheel", "none.whl"], "no such wheel"),
        (["--realizations", "7"], "there are 6"),
        (["--task", "cifar"], "unknown task"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        main(["pack", str(tmp_path / "p"), *words])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1
    assert not (tmp_path / "p").exists()


def test_no_place_for_temporary_files_is_one_line(monkeypatch, tmp_path, capsys):
    def nowhere(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryDirectory", nowhere)
    with pytest.raises(SystemExit) as ended:
        main(["pack", str(tmp_path / "p")])
    assert ended.value.code == 2
    assert "set TMPDIR to a folder for them" in capsys.readouterr().err
