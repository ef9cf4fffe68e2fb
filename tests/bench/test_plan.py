"""Which runs are asked for, and their ids."""

import itertools
import json

import pytest

import datasets
import models
from bench.errors import BenchError
from bench.plan import PlanPart, Run, load_plan, match_tasks, parse_realizations, plan_runs
from bench.protocol import load_protocol
from bench.recipe import EXECUTION
from bench.scheduling.estimate import COMMITTED_RECORDS
from bench.verify import rebuild
from leaderboard.reading.folders import read_all

EXECUTED = {"batch_split": 4, "channels_last": True, "compile": True, "cuda_graph": False, "evaluation_batch": 123}
PAPER = load_protocol("paper")


def everything():
    return plan_runs([PlanPart(models=["*"], tasks=["*"])], PAPER.realizations, PAPER)


def test_all_is_every_model_on_every_task_and_realization():
    runs = everything()
    pairs = {(name, task) for task in datasets.TASKS if task.startswith("mnist") for name in models.list_models(task)}
    assert {(run.model, run.task) for run in runs} >= pairs
    assert len(runs) == len({run.id for run in runs})
    assert [run.realization for run in runs] == sorted(run.realization for run in runs)


def test_ids_and_seeds_depend_on_everything_that_matters_and_nothing_else():
    first, again = everything(), everything()
    assert [run.id for run in first] == [run.id for run in again]
    assert len({run.seed("weights") for run in first}) == len(first)
    other = load_protocol("quick")
    quick = plan_runs([PlanPart(models=["*"], tasks=["*"])], PAPER.realizations, other)
    assert not {run.id for run in first} & {run.id for run in quick}
    run = first[0]
    assert run.seed("epoch", 1) != run.seed("epoch", 2) != run.seed("dropout", 2)
    assert 0 <= run.seed("epoch", 1) < 2**63


@pytest.mark.parametrize("task", ["mnist-scale-28+", "stl10+"])
def test_ids_and_seeds_do_not_depend_on_execution(task):
    assert set(EXECUTED) == set(EXECUTION)

    def one(protocol):
        return plan_runs([PlanPart(models=["cnn"], tasks=[task])], [0], protocol)[0]

    plain = one(PAPER)
    for name, value in EXECUTED.items():
        other = one(PAPER.with_settings(**{name: value}))
        assert getattr(other.recipe, name) == value != getattr(plain.recipe, name)
        assert (other.id, other.seed("epoch", 3)) == (plain.id, plain.seed("epoch", 3)), name
    for settings in ({"precision": "tf32"}, {"epochs": 1}, {"batch_size": 64}):
        other = one(PAPER.with_settings(**settings))
        assert other.id != plain.id
        assert other.seed("epoch", 3) != plain.seed("epoch", 3)


def test_execution_reaches_the_process_that_trains():
    # No id would tell if it were lost on the way.
    for protocol in (PAPER.with_settings(**EXECUTED), PAPER):
        run = plan_runs([PlanPart(models=["cnn"], tasks=["mnist-scale-28+"])], [0], protocol, ("--compile",))[0]
        assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_every_committed_record_is_of_the_run_that_its_recipe_gives():
    records, unreadable = read_all(COMMITTED_RECORDS)
    assert len(records) >= 90
    assert not unreadable
    for record in records:
        run = rebuild(record)
        assert (run.id, run.recipe.digest) == (record.run_id, record.protocol.digest)
        assert run.seed("weights") == record.seeds["weights"], record.run_id
        assert record.execution is not None or not set(EXECUTION) & set(record.protocol.recipe)


def test_report_plan_is_the_reports_study():
    plan = load_plan("report")
    runs = plan_runs(plan.runs, plan.realizations, PAPER)
    assert len(runs) == 8 * 2 * 6
    by_task = {task: sorted({run.model for run in runs if run.task == task}) for task in {run.task for run in runs}}
    # A task's published configuration goes by the plain name, so that its runs are those of `--all`.
    assert by_task["mnist-scale-28+"] == ["sesn-scalar", "sesn-scalar@config=28", "sesn-vector", "sesn-vector@config=28"]
    assert by_task["mnist-scale-56"] == ["sesn-scalar", "sesn-scalar@config=56p", "sesn-vector", "sesn-vector@config=56p"]
    plain = {run.id for run in everything()}
    assert len([run for run in runs if run.id in plain]) == 2 * 4 * 6


def test_the_repeat_command_plans_the_same_run():
    run = everything()[-1]
    words = run.command.split()
    task, model = words[words.index("--task") + 1], words[words.index("--model") + 1]
    numbers = parse_realizations(words[words.index("--realizations") + 1])
    assert [again.id for again in plan_runs([PlanPart(models=[model], tasks=[task])], numbers, PAPER)] == [run.id]


@pytest.mark.parametrize(("text", "numbers"), [("0-5", [0, 1, 2, 3, 4, 5]), ("3", [3]), ("4,0-1", [0, 1, 4])])
def test_realizations(text, numbers):
    assert parse_realizations(text) == numbers


@pytest.mark.parametrize("text", ["9", "0-9", "x", "", "-1", "1-", "0-99999999999", "5-2"])
def test_wrong_realizations(text):
    with pytest.raises(BenchError, match="0-5"):
        parse_realizations(text)


def test_unknown_names():
    with pytest.raises(BenchError, match=r"did you mean 'mnist-scale-28"):
        match_tasks(["mnist-scale-82"])
    with pytest.raises(models.ModelError, match="did you mean 'sesn-"):
        plan_runs([PlanPart(models=["sesn-skalar"], tasks=["*"])], [0], PAPER)
    with pytest.raises(models.ModelError, match="allowed: 28, 28p"):
        plan_runs([PlanPart(models=["sesn-scalar@config=99"], tasks=["mnist-scale-28"])], [0], PAPER)
    with pytest.raises(BenchError, match="plans: report"):
        load_plan("reprot")


def test_variants_are_taken_where_they_exist():
    runs = plan_runs([PlanPart(models=["sesn-*@config=28p"], tasks=["*"])], [0], PAPER)
    expected = itertools.product(["sesn-scalar", "sesn-vector"], [("@config=28p", "mnist-scale-28"), ("", "mnist-scale-28+")])
    assert {(run.model, run.task) for run in runs} == {(name + at, task) for name, (at, task) in expected}
