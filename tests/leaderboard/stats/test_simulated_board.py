"""Boards whose truth is known: the small form of benchmarks/simulated_board.py, whose results are in docs/statistics.md."""

import numpy as np

from benchmarks.simulated_board import NOISY, Scenario, boards, measure

BOARDS = 60


def test_ties_are_ties() -> None:
    # At most 5 % of boards may have a false rank. With 60 boards, 9 or more have a chance of 0.2 % at 5 %.
    for scenario in (Scenario("equal", run=0.1), Scenario("one is erratic", run=NOISY)):
        tally = measure(scenario, BOARDS, seed=3)
        assert tally.wrong_ranks < 9
        # 600 means, 2,700 differences, of which those of one board go together
        assert 0.90 < np.mean(tally.means) < 0.99
        assert 0.90 < np.mean(tally.differences) < 0.99


def test_real_differences_are_found() -> None:
    tally = measure(Scenario("better", run=0.05, better=0.3), BOARDS // 3, seed=4)
    assert np.mean(tally.found["board"]) > 0.9
    assert tally.wrong_ranks < 5


def test_a_simulated_board_is_what_it_says() -> None:
    scenario = Scenario("", run=0.0, shared=0.0, better=0.5)
    runs = [run for board in boards(scenario, 5, seed=0) for run in board]
    better = [run.test_error for run in runs if int(run.model[1:]) < 5 and run.test_error is not None]
    others = [run.test_error for run in runs if int(run.model[1:]) >= 5 and run.test_error is not None]
    assert abs(np.mean(others) - 2.0) < 0.05
    assert abs(np.mean(others) - np.mean(better) - 0.5) < 0.02
    again = [run for board in boards(scenario, 5, seed=0) for run in board]
    assert all(np.array_equal(a.wrong, b.wrong) for a, b in zip(runs, again, strict=True))
