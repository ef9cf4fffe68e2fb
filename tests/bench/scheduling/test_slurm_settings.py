"""--slurm KEY=VALUE: what submitit and sbatch take is taken in their types; all else is one line before anything else."""

import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.main import main
from bench.errors import BenchError
from bench.scheduling.engines import slurm_settings
from bench.scheduling.engines.slurm_settings import OWN, check_cluster, parse_settings

SBATCH = {  # as submitit 1.5.4 names and annotates them
    "partition": "Optional[str]",
    "time": "int",
    "mem": "Optional[str]",
    "gpus_per_node": "Optional[int]",
    "nodes": "int",
    "setup": "Optional[List[str]]",
    "exclusive": "Union[bool, str, None]",
    "use_srun": "bool",
    "array_parallelism": "int",
    "additional_parameters": "Optional[Dict[str, Any]]",
}


@pytest.fixture(autouse=True)
def sbatch(monkeypatch):
    monkeypatch.setattr(slurm_settings, "_of_sbatch", lambda: SBATCH)


TAKEN = [
    ("mem_gb=7.5", 7.5),
    ("mem_gb=16", 16.0),
    ("mem_gb=1e1", 10.0),
    ("timeout_min=60", 60),
    (" timeout_min = 60 ", 60),
    ("nodes=1", 1),
    ("gpus_per_node=0", 0),
    ("name=a=b", "a=b"),
    ("stderr_to_stdout=true", True),
    ("stderr_to_stdout=False", False),
    ("cluster=local", "local"),
    ("slurm_partition=gpu", "gpu"),
    ("slurm_partition=1", "1"),
    ("slurm_mem=8GB", "8GB"),
    ("slurm_time=240", 240),
    ("slurm_time=1-12:00:00", "1-12:00:00"),
    ("slurm_time=30:00", "30:00"),
    ("slurm_gpus_per_node=a100:2", "a100:2"),
    ("slurm_nodes=2-4", "2-4"),
    ("slurm_setup=module load cuda", ["module load cuda"]),
    ("slurm_exclusive=user", "user"),
    ("slurm_exclusive=true", True),
    ("slurm_use_srun=false", False),
]


@pytest.mark.parametrize(("text", "value"), TAKEN)
def test_what_is_taken(text, value):
    (found,) = parse_settings([text]).values()
    assert found == value
    assert type(found) is type(value)


REFUSED = [
    ("timeout_min=ten", "give a whole number from 1"),
    ("timeout_min=0", "give a whole number from 1"),
    ("timeout_min=-5", "give a whole number from 1"),
    ("timeout_min=7.5", "give a whole number from 1"),
    ("timeout_min=", "give KEY=VALUE"),
    ("timeout_min", "give KEY=VALUE"),
    ("=60", "give KEY=VALUE"),
    ("", "give KEY=VALUE"),
    ("timeout_min=٣", "give a whole number from 1"),
    ("timeout_min=²", "give a whole number from 1"),
    ("timeout_min=1" + "0" * 5000, "give a whole number from 1"),
    ("timeout_min='60'", "give a whole number from 1"),
    ("mem_gb=0", "above 0"),
    ("mem_gb=nan", "above 0"),
    ("mem_gb=inf", "above 0"),
    ("mem_gb=-1", "above 0"),
    ("mem_gb=7,5", "above 0"),
    ("mem_gb=8GB", "above 0"),
    ("nodes=0", "from 1"),
    ("gpus_per_node=-1", "from 0"),
    ("stderr_to_stdout=1", "true or false"),
    ("cluster=loca", "give slurm, or local"),
    ("cluster=debug", "give slurm, or local"),
    ("timeout=60", "did you mean 'timeout_min'"),
    ("partition=gpu", "there is no setting 'partition'"),
    ("slurm_partitoin=gpu", "did you mean 'slurm_partition'"),
    ("slurm_time=ten", "or a time such as 1-12:00:00"),
    ("slurm_array_parallelism=many", "give a whole number from 0"),
    ("slurm_use_srun=no", "true or false"),
    ("slurm_additional_parameters={}", "a table cannot be given"),
    ("local_setup=x", "there is no setting 'local_setup'"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_not_taken_is_one_line(text, said):
    with pytest.raises(BenchError, match=r"^--slurm") as refused:
        parse_settings(["name=x", text])
    assert said in str(refused.value)


def test_a_key_twice():
    with pytest.raises(BenchError, match="given twice"):
        parse_settings(["timeout_min=1", "timeout_min=2"])


@given(st.lists(st.one_of(st.text(), st.builds("{}={}".format, st.sampled_from([*OWN, "slurm_time"]), st.text())), max_size=2))
def test_any_text_is_taken_or_refused(texts):
    try:
        found = parse_settings(texts)
    except BenchError:
        return
    assert len(found) == len(texts)


def test_no_slurm_is_said_and_nothing_runs_locally_unasked(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    check_cluster({"cluster": "local"})
    for settings in ({}, {"cluster": "slurm"}):
        with pytest.raises(BenchError, match=r"no srun on PATH.*--slurm cluster=local"):
            check_cluster(settings)


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "there is no Slurm here"), (("--slurm", "timeout_min=ten"), "timeout_min=ten: give a whole number from 1")],
)
def test_the_command_says_it_before_anything_else(monkeypatch, tmp_path, capsys, words, said):
    stub = types.ModuleType("submitit")
    stub.__spec__ = types.SimpleNamespace(name="submitit")  # installed, as far as the command looks
    monkeypatch.setitem(sys.modules, "submitit", stub)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--model", "cnn", "--engine", "slurm", *words])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert said in error
    assert not list(tmp_path.iterdir())


def test_submitit_itself_takes_what_is_taken(monkeypatch, tmp_path):
    submitit = pytest.importorskip("submitit", reason="the extra [slurm] is not installed")
    monkeypatch.undo()
    assert set(SBATCH) <= set(slurm_settings._of_sbatch())
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    executor = submitit.AutoExecutor(tmp_path / "logs", cluster="slurm")
    for text, _ in TAKEN:
        settings = parse_settings([text])
        if "cluster" not in settings:
            executor.update_parameters(**settings)
