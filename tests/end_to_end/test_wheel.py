"""The wheel and the source archive: all files, version, commit, a README that links; installed, they answer without torch."""

import email
import json
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile

import pytest
from built_wheel import PACKAGES, ROOT, Environment, build, copy_of_the_files, files

from bench.cli.catch_all import EXTRAS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
RECORDS = ROOT / "records" / "short" / "mnist-scale-28"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel, and without what the extra [train] brings."""
    environment = Environment(tmp_path_factory.mktemp("installed"))
    environment.install(wheel)
    for package in (name for name, extra in EXTRAS.items() if extra == "train"):
        (environment.site / f"{package}.py").write_text(f"raise ModuleNotFoundError('none', name={package!r})\n")
    return environment


def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_string(archive.read(name).decode())


def test_all_files_are_inside_and_no_others(wheel):
    forced = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {"equiscale/__init__.py", "equiscale.pth"} <= {*forced.values()}
    ours = {f"equiscale/{name}" for name in files(*PACKAGES)} | {"equiscale/COMMIT", *forced.values()}
    about = ("METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD")
    ours |= {f"equiscale-{PROJECT['version']}.dist-info/{name}" for name in about}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == ours
        for name in ("bench/protocols/paper.yaml", "models/layers/proxy_table_7_15.npy", "leaderboard/board/published.yaml"):
            assert archive.read(f"equiscale/{name}") == (ROOT / name).read_bytes()
        assert archive.read("equiscale/COMMIT").decode() == f"{COMMIT}\n"


def test_metadata(wheel):
    found = metadata(wheel)
    assert (found["Name"], found["Version"], found["License-Expression"]) == ("equiscale", PROJECT["version"], "MIT")
    assert dict(text.split(", ") for text in found.get_all("Project-URL")) == PROJECT["urls"]
    assert {"train", "ray", "slurm", "dev"} == set(found.get_all("Provides-Extra"))
    assert not [line for line in found.get_all("Requires-Dist") if line.startswith("torch") and "extra ==" not in line]


def test_every_link_of_the_long_description_is_an_address_or_within_it(wheel):
    text = metadata(wheel).get_payload()
    assert metadata(wheel)["Description-Content-Type"] == "text/markdown"
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    assert len(targets) > 5
    assert [target for target in targets if not re.match(r"https://|#", target)] == []
    base = f"{PROJECT['urls']['Repository']}/"
    inside = [target.removeprefix(base).split("#")[0] for target in targets if target.startswith(base)]
    assert all((ROOT / re.sub("^(blob|raw)/HEAD/", "", name)).exists() for name in inside)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "](" not in line and "=" not in line] == [
        line for line in readme.splitlines() if "](" not in line and "=" not in line
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](docs/b.md#c) [d](https://e.f)", "[a](R/blob/HEAD/docs/b.md#c) [d](https://e.f)"),
        ("![p](docs/p.png)", "![p](R/raw/HEAD/docs/p.png)"),
        ("[here](#below) [m](mailto:a@b.c)", "[here](#below) [m](mailto:a@b.c)"),
        ('<img alt="x" src="docs/p.svg">', '<img alt="x" src="R/raw/HEAD/docs/p.svg">'),
        ("a[0](x y)", "a[0](x y)"),
    ],
)
def test_links_become_addresses(text, expected):
    from hatch_build import absolute_links

    assert absolute_links(text, "R") == expected


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_commit_is_gits_and_goes_through_the_source_archive_into_its_wheel(tmp_path):
    source = copy_of_the_files(tmp_path / "source")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(source)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    (source / "models" / "cnn.py").open("a").write("\n")
    archive = build(source, "sdist")[".gz"]
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert set(files(*PACKAGES)) <= names
    assert {"pyproject.toml", "hatch_build.py", "equiscale.py", "equiscale.pth", "README.md", "LICENSE", "COMMIT"} <= names
    (folder,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(build(folder, "wheel")[".whl"]) as wheel:
        assert wheel.read("equiscale/COMMIT").decode() == f"{head.strip()}-dirty\n"


def test_without_a_commit_there_is_none_and_it_is_built_all_the_same(tmp_path):
    wheel = build(copy_of_the_files(tmp_path), "wheel")[".whl"]
    assert "equiscale/COMMIT" not in zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize("command", ["bench", "equiscale"])
def test_installed_it_says_its_version_and_commit(installed, tmp_path, command):
    done = installed.run(tmp_path, command, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"equiscale {PROJECT['version']}, commit {COMMIT}; Python 3.")


def test_installed_it_reads_without_torch(installed, tmp_path):
    for words in (
        ("list", "tasks"),
        ("list", "protocols"),
        ("list", "plans"),
        ("compare", "cnn", "sicnn", "--records", RECORDS),
    ):
        done = installed.run(tmp_path, "bench", *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    done = installed.run(tmp_path, "bench", "leaderboard", "--records", RECORDS, "--output", "B.md", "--folder", "board")
    assert (done.returncode, done.stderr) == (0, "")
    assert "`sesn-vector`" in (tmp_path / "B.md").read_text()
    assert {"leaderboard.html", "figures", "tables"} <= {path.name for path in (tmp_path / "board").iterdir()}
    done = installed.run(tmp_path, "bench", "list", "models")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'equiscale[train]'" in done.stderr


def test_a_record_made_by_an_installed_wheel_names_the_commit(wheel, workplace):
    environment = Environment(workplace / "env")
    environment.install(wheel)
    words = ("run", "--protocol", "tiny.yaml", "--plugin", "my_net.py", "--device", "cpu", "--task", "mnist-scale-28")
    done = environment.run(workplace, "bench", *words, "--model", "tiny-net")
    assert done.returncode == 0, done.stderr
    (record,) = (workplace / "results").rglob("tiny-net_*_tiny_*.json")
    software = json.loads(record.read_text())["software"]
    assert (software["git_commit"], software["git_dirty"], software["scalebench"]) == (COMMIT, False, PROJECT["version"])
