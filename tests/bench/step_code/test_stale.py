"""Which timings are of older code, told from hashes and from git's history; and the commands that measure them again."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from record_factory import START
from timing_factory import CPU, a_timing

from bench.cli.main import main
from bench.machine.names import card_names, processor_name
from bench.measure.timing import TimingConfig
from bench.measure.timing_plan import ToGo, stale_configs
from bench.step_code import stale
from bench.step_code.identity import source_here
from bench.step_code.stale import Freshness, commands_here, freshness, source_at
from leaderboard.records.measurement import write_measurement
from leaderboard.records.timing import Timing

HERE = CPU | {"name": processor_name()}
NOW = {"model": source_here().code_of("cnn", "mnist-scale-28"), "plain": source_here().code_of("cnn", "mnist-scale-28")}


def timed(model: str = "cnn", hardware: dict[str, Any] = HERE, days: int = 0, **changes: Any) -> Timing:
    command = f"bench time --model {model} --task mnist-scale-28 --device cpu --batch-size 128 --precision float32 --repeats 3"
    names = {"name": f"{model.replace('@', '-')}-{days}-{len(hardware['name'])}", "command": command}
    return a_timing(model, hardware, **(names | {"measured": START + timedelta(days)} | changes))


def state(**changes: Any) -> tuple[str, str]:
    (found,) = freshness([timed(**changes)])
    return found.state, found.why


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, str]:
    """A repository with the suite's sources as they are, and the commit."""
    for path, text in source_here().texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    return tmp_path, subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_recorded_code_is_compared_with_todays() -> None:
    assert state(code=NOW) == ("fresh", "")
    assert state(code=NOW | {"plain": "another"}) == ("fresh", "")  # its own time is what it was
    found, why = state(code=NOW | {"model": "0123456789abcdef"})
    assert found == "stale" and "0123456789, now" in why


def test_a_commit_is_looked_up_in_gits_history(history: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, commit = history
    tree = source_at(commit, root)
    assert tree is not None and dict(tree.texts) == dict(source_here().texts)
    older = {
        **tree.texts,
        "models/cnn.py": tree.texts["models/cnn.py"].replace("32", "31").replace("stage(SameConv2d", "stage(Conv2d"),
    }
    trees = {commit: tree, "e" * 40: type(tree)(older)}
    monkeypatch.setattr(stale, "source_at", trees.get)

    def at(model: str, commit: str, *, dirty: bool = False) -> tuple[str, str]:
        timing = timed(model)
        software = timing.software.model_copy(update={"git_commit": commit, "git_dirty": dirty})
        (found,) = freshness([timing.model_copy(update={"software": software})])
        return found.state, found.why

    assert at("cnn", commit) == ("fresh", "")
    assert at("cnn", "e" * 40) == ("stale", "its code has changed since commit eeeeeeeeee")
    assert at("sesn-vector", "e" * 40) == ("fresh", "")  # another model changed
    assert at("cnn", commit, dirty=True)[0] == "cannot tell"
    assert at("cnn", "d" * 40) == ("cannot tell", "git does not know its commit dddddddddd here")


@pytest.mark.parametrize("commit", ["f" * 40, "--output=x", "HEAD", "", "0" * 39])
def test_what_git_does_not_know_is_none(
    commit: str, history: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert source_at(commit, history[0]) is None
    assert source_at(history[1], tmp_path_factory.mktemp("no repository")) is None


def test_the_newest_untainted_timing_of_a_device_counts() -> None:
    tainted = timed(days=9, code=NOW | {"model": "old"}, tainted=["heat"])
    timings = [timed(days=0, code=NOW | {"model": "old"}), timed(days=1, code=NOW), tainted]
    assert [(found.state, found.timing.measured) for found in freshness(timings)] == [("fresh", timings[1].measured)]
    (found,) = freshness([timings[0], tainted])
    assert found.timing == timings[0] and found.why.endswith("; a later one is tainted: heat")
    elsewhere = timed(hardware=CPU, code=NOW | {"model": "old"})
    states = {found.timing.hardware.name: found.state for found in freshness([*timings, elsewhere])}
    assert states == {"Slow CPU": "stale", processor_name(): "fresh"}
    (found,) = freshness([tainted])
    assert found.state == "stale" and "tainted, and no other is there: heat" in found.why


def test_cheapest_first_and_commands_for_this_machine_alone() -> None:
    old = {"code": NOW | {"model": "old"}}
    slow, fast = timed("sicnn", days=1, ms=900, **old), timed("dss-scalar", ms=30, **old)
    larger = timed("cnn", days=2, ms=1, task="mnist-scale-56", **old)
    elsewhere, stranger = timed("cnn", CPU, ms=5, **old), timed("nobodys", ms=6, **old)
    found = freshness([larger, slow, elsewhere, stranger, fast])
    assert [one.timing.model for one in found] == ["cnn", "nobodys", "dss-scalar", "sicnn", "cnn"]
    assert [one.here for one in found] == [False, True, True, True, True] and not found[1].known
    assert [command.split()[3] for command in commands_here(found, Path("my records"))] == ["dss-scalar", "sicnn", "cnn"]
    assert found[2].command(Path("my records")) == f"{fast.command} --records 'my records'"


def test_stale_timings_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for timing in (
        timed(code=NOW),
        timed("sicnn", code=NOW | {"model": "old"}),
        timed("dss-scalar", CPU, code=NOW | {"model": "old"}),
    ):
        write_measurement(tmp_path, timing)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["timings", "--records", str(tmp_path), "--stale", *words])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err  # type: ignore[return-value]

    code, text, _ = call()
    assert code == 0 and "2 of the newest 3 timings are not of today's code" in text
    assert "Slow CPU, 2 threads: stale; its code has changed since" in text
    commands = [line for line in text.splitlines() if line.startswith("bench time --model")]
    assert commands == [f"{timed('sicnn').command} --records {tmp_path}"]
    found = json.loads(call("--json")[1])
    assert [(each["model"], each["state"], each["here"]) for each in found["timings"]] == [
        ("cnn", "fresh", True), ("dss-scalar", "stale", False), ("sicnn", "stale", True),
    ]  # fmt: skip
    assert found["commands"] == commands
    code, _, error = call("--mixed")
    assert code == 2 and "--stale goes with --records, --task and --json alone" in error and error.count("\n") == 1


def test_what_bench_time_measures_again() -> None:
    import torch

    old = {"code": NOW | {"model": "old"}}
    earlier = [
        timed("sicnn", ms=900, batch_size=4, compiled_step_seconds=[1.0], **old),
        timed("cnn", code=NOW),
        timed("nobodys", **old),
        timed("dss-scalar", ms=30, **old),
    ]
    tasks = ["mnist-scale-28"]
    found = stale_configs(earlier, torch.device("cpu"), ["*"], tasks)
    assert [(one.model, one.batch_size, one.repeats, one.compile) for one in found] == [
        ("dss-scalar", 128, 3, False),
        ("sicnn", 4, 3, True),
    ]
    assert [one.model for one in stale_configs(earlier, torch.device("cpu"), ["si*"], tasks)] == ["sicnn"]
    assert stale_configs(earlier, torch.device("cpu"), ["*"], ["stl10+"]) == []


def test_bench_time_measures_nothing_that_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    here = HERE | {"threads": torch.get_num_threads()}
    write_measurement(tmp_path / "mine", timed(hardware=here, code=NOW))
    write_measurement(tmp_path / "mine", timed("sicnn", here | {"threads": 99}, code=NOW | {"model": "old"}))
    with pytest.raises(SystemExit) as ended:
        main(["time", "--stale", "--device", "cpu", "--records", "mine"])
    assert not ended.value.code and "nothing to time" in capsys.readouterr().out


def test_time_to_go_follows_what_the_first_took() -> None:
    now = [0.0]
    configs = [TimingConfig(model, "mnist-scale-28", "cpu", repeats=3) for model in ("cnn", "a", "b")]
    to_go = ToGo(configs, [timed(ms=1000), timed("a", ms=1000), timed("b", ms=9000)], lambda: now[0])
    unit = 6 + 1.5 * 4  # the cost of a step of one second
    now[0] = 2 * unit  # twice as slow as reckoned
    assert to_go.after_one() == pytest.approx(2 * (unit + 6 + 1.5 * 4 * 9))
    now[0] += 2 * unit
    assert to_go.after_one() == pytest.approx(2 * (6 + 1.5 * 4 * 9))


def test_names_of_devices_never_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processor_name() and isinstance(card_names(), list)
    monkeypatch.setattr(Path, "read_text", lambda *_: (_ for _ in ()).throw(OSError("none")))
    assert processor_name()


def test_freshness_is_of_one_timing() -> None:
    assert Freshness(timed(), "fresh", "", here=True, known=True).command(Path("r")).endswith("--records r")
