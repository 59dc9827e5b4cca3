"""Online games, regret, drift: the closed forms against simulation, and the theorems of Reddi et al."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.rules import Adam, AdamW, AMSGrad, GradientDescent, RMSProp
from optbias.simulate import trajectory
from optbias.theory.online import (
    OnlineGame,
    amsgrad_regret_bound,
    break_even_beta2,
    drift_per_cycle,
    play,
    play_long,
    rare_spike_game,
    regret,
    three_step_game,
)

f64 = torch.float64


def over_root_t(lr: float):
    return lambda t: lr / t**0.5


def papers(rule: type[Adam], lr: float, beta2: float, beta1: float = 0.0) -> Adam:
    """The paper's form: rate lr / sqrt(t), no epsilon, no bias correction."""
    return rule(lr=over_root_t(lr), betas=(beta1, beta2), eps=0.0, bias_correction=False)


# Games


def test_the_three_step_game_is_the_lectures():
    game = three_step_game(5.0)
    for t in range(1, 13):
        assert game.gradient(t).item() == (5.0 if t % 3 == 1 else -1.0)
    assert game.gradients(7).tolist() == [5, -1, -1, 5, -1, -1, 5]
    assert (game.low, game.high, game.period) == (-1.0, 1.0, 3)
    assert game.best_fixed_point.item() == -1.0


def test_the_1010_game_of_the_paper():
    game = rare_spike_game(1010.0, 101, rest=10.0)
    g = game.gradients(202)
    assert [t for t in range(1, 203) if g[t - 1] == 1010] == [1, 102]
    assert g.sum().item() == 20.0
    assert game.best_fixed_point.item() == -1.0


def test_a_game_may_be_a_batch_and_favour_either_end():
    game = OnlineGame(torch.tensor([[2.0, -2.0], [-1.0, 1.0]], dtype=f64), low=0.0, high=3.0)
    assert game.best_fixed_point.tolist() == [0.0, 3.0]
    assert play(GradientDescent(lr=0.1), game, 100)[-1].tolist() == pytest.approx([0.1, 2.9])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: three_step_game(2.0), ValueError, "C must be a number in"),
        (lambda: three_step_game("3"), TypeError, "C must be a number"),
        (lambda: rare_spike_game(3.0, 1), ValueError, "cycle must be an integer from 2 up"),
        (lambda: rare_spike_game(3.0, 3.0), ValueError, "cycle must be an integer"),
        (lambda: rare_spike_game(3.0, 3, rest=0.0), ValueError, "rest must be"),
        (lambda: OnlineGame([1.0, -1.0]), TypeError, "slopes must be a torch.Tensor"),
        (lambda: OnlineGame(torch.zeros(0)), ValueError, "slopes must have one row"),
        (lambda: OnlineGame(torch.tensor([1.0, math.nan])), ValueError, "slopes must be finite"),
        (lambda: OnlineGame(torch.ones(2), low=1.0, high=1.0), ValueError, "low must be below high"),
        (lambda: three_step_game(3.0).gradient(0), ValueError, "t must be a round"),
        (lambda: three_step_game(3.0).gradients(0), ValueError, "rounds must be a positive integer"),
        (lambda: play("adam", three_step_game(3.0), 5), TypeError, "rule must be a rule"),
        (lambda: play(Adam(), three_step_game(3.0), 0), ValueError, "rounds must be a positive integer"),
        (lambda: play(Adam(), three_step_game(3.0), 5, start=2.0), ValueError, "start must be"),
        (lambda: play_long(RMSProp(), three_step_game(3.0), 5), TypeError, "rule must be Adam or AMSGrad"),
        (lambda: play_long(AdamW(), three_step_game(3.0), 5), TypeError, "rule must be Adam or AMSGrad"),
        (lambda: play_long(Adam(weight_decay=0.1), three_step_game(3.0), 5), ValueError, "weight_decay must be 0"),
        (lambda: play_long(Adam(lr=torch.ones(2)), three_step_game(3.0), 5), TypeError, "takes numbers"),
        (lambda: play_long(Adam(), three_step_game(torch.tensor([3.0, 4.0])), 5), ValueError, "plays one game"),
        (lambda: play_long(Adam(), three_step_game(3.0), -1), ValueError, "rounds must be a positive integer"),
        (lambda: regret(torch.zeros(1), three_step_game(3.0)), ValueError, "points must have two rows"),
        (lambda: drift_per_cycle(0.0, 0.5), ValueError, "C must be"),
        (lambda: drift_per_cycle(3.0, 1.5), ValueError, "beta2 must be"),
        (lambda: drift_per_cycle(3.0, 0.5, beta1=1.0), ValueError, "beta1 must be"),
        (lambda: break_even_beta2(2.0), ValueError, "C must be"),
        (lambda: break_even_beta2(3.0, cycle=2), ValueError, "cycle must be an integer from 3 up"),
        (lambda: amsgrad_regret_bound(torch.ones(3), 0.1, (0.9, 0.5)), ValueError, "beta1 < sqrt"),
        (lambda: amsgrad_regret_bound(torch.ones(3, 2), 0.1, (0.0, 0.5)), ValueError, "one sequence"),
        (lambda: amsgrad_regret_bound(torch.ones(3), 0.0, (0.0, 0.5)), ValueError, "lr must be"),
        (lambda: amsgrad_regret_bound(torch.ones(3), 0.1, (0.0, 0.5), diameter=0.0), ValueError, "diameter must be"),
        (lambda: amsgrad_regret_bound(torch.ones(3), 0.1, (0.0, 0.5), beta1_decay=0.0), ValueError, "beta1_decay"),
    ],
)
def test_bad_input_says_what_is_allowed(make, error, words):
    with pytest.raises(error, match=words):
        make()


# Playing and regret


def test_play_returns_the_start_first_and_stays_inside():
    points = play(Adam(lr=0.5), three_step_game(3.0), 50, start=0.25)
    assert points.shape == (51,)
    assert points[0] == 0.25
    assert points.abs().max() <= 1.0


def test_play_broadcasts_games_with_settings():
    spikes, betas2 = torch.tensor([2.5, 3.0, 4.0], dtype=f64), torch.tensor([[0.1], [0.9]], dtype=f64)
    together = play(Adam(lr=0.05, betas=(0.0, betas2)), three_step_game(spikes), 40)
    assert together.shape == (41, 2, 3)
    for i, b in enumerate(betas2.flatten().tolist()):
        for j, spike in enumerate(spikes.tolist()):
            alone = play(Adam(lr=0.05, betas=(0.0, b)), three_step_game(spike), 40)
            torch.testing.assert_close(together[:, i, j], alone, rtol=0, atol=1e-12)
    one_game = play(Adam(lr=0.05, betas=(0.0, betas2)), three_step_game(3.0), 40)
    torch.testing.assert_close(
        regret(one_game, three_step_game(3.0))[:, 1, 0],
        regret(one_game[:, 1, 0], three_step_game(3.0)),
        rtol=0,
        atol=1e-12,
    )


@settings(deadline=None, max_examples=30)
@given(
    rule=st.sampled_from([Adam, AMSGrad]),
    beta1=st.floats(0.0, 0.95),
    beta2=st.floats(0.0, 0.999),
    eps=st.sampled_from([0.0, 1e-8, 1e-2]),
    eps_inside=st.booleans(),
    bias_correction=st.booleans(),
    start=st.floats(-1.0, 1.0),
    slopes=st.lists(st.integers(-9, 9), min_size=1, max_size=7),
    decay=st.booleans(),
)
def test_play_long_is_play(rule, beta1, beta2, eps, eps_inside, bias_correction, start, slopes, decay):
    lr = over_root_t(0.2) if decay else 0.05
    setting = rule(lr=lr, betas=(beta1, beta2), eps=eps, eps_inside=eps_inside, bias_correction=bias_correction)
    game = OnlineGame(torch.tensor(slopes, dtype=f64))
    slow, fast = play(setting, game, 60, start), play_long(setting, game, 60, start)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-11)


@settings(deadline=None, max_examples=50)
@given(
    points=st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=30),
    slopes=st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=5),
)
def test_regret_is_its_definition(points, slopes):
    game = OnlineGame(torch.tensor(slopes, dtype=f64))
    x, g = np.array(points), game.gradients(len(points) - 1).numpy()
    candidates = np.linspace(-1, 1, 5)
    expected = [(g[:T] * x[:T]).sum() - min((g[:T] * c).sum() for c in candidates) for T in range(1, len(points))]
    assert regret(torch.tensor(points, dtype=f64), game).tolist() == pytest.approx(expected, abs=1e-9)


def test_the_best_fixed_point_has_no_regret_at_the_end_of_a_cycle():
    game = three_step_game(4.0)
    assert regret(torch.full((31,), -1.0, dtype=f64), game)[29].item() == pytest.approx(0.0, abs=1e-12)
    assert regret(torch.full((31,), 1.0, dtype=f64), game)[29].item() == pytest.approx(10 * 2 * (4 - 2))


# Drift and break-even


def simulated_drift(C, beta2, cycle, beta1=0.0, rounds=6000):
    """Movement over the last whole cycle of the library's Adam, without walls."""
    game = rare_spike_game(C, cycle)
    rounds -= rounds % cycle
    rule = Adam(lr=1.0, betas=(beta1, beta2), eps=0.0, bias_correction=False)
    start = torch.zeros(1, dtype=f64)
    path = trajectory(rule, torch.sum, start, rounds, gradient=lambda x, t: game.gradient(t).expand(1))
    return (path[-1] - path[-1 - cycle]).item()


@pytest.mark.parametrize("C", [2.5, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("beta2", [0.01, 0.3, 0.9, 0.99])
def test_drift_formula_equals_simulation(C, beta2):
    assert drift_per_cycle(C, beta2).item() == pytest.approx(simulated_drift(C, beta2, 3), abs=1e-6)


@settings(deadline=None, max_examples=12)
@given(excess=st.floats(0.01, 50.0), beta2=st.floats(0.0, 0.97), cycle=st.integers(2, 15), beta1=st.floats(0.0, 0.95))
def test_drift_formula_equals_simulation_for_any_cycle_and_momentum(excess, beta2, cycle, beta1):
    C = cycle - 1 + excess
    simulated = simulated_drift(C, beta2, cycle, beta1, rounds=1500)
    assert drift_per_cycle(C, beta2, cycle, beta1).item() == pytest.approx(simulated, abs=1e-6)


@settings(deadline=None)
@given(C=st.floats(0.1, 1e3), beta2=st.floats(0.0, 0.9999))
def test_drift_of_three_steps_is_the_lectures_formula(C, beta2):
    b, k = beta2, (1 - beta2) / (1 - beta2**3)
    by_hand = (
        -C / math.sqrt(k * (C**2 + b + b**2))
        + 1 / math.sqrt(k * (1 + b * C**2 + b**2))
        + 1 / math.sqrt(k * (1 + b + b**2 * C**2))
    )
    assert drift_per_cycle(C, beta2).item() == pytest.approx(by_hand, rel=1e-9, abs=1e-9)


def test_drift_at_the_ends():
    assert drift_per_cycle(3.0, 0.0).item() == pytest.approx(1.0)
    assert drift_per_cycle(3.0, 1.0).item() == pytest.approx(-1 / math.sqrt(11 / 3))
    assert drift_per_cycle(3.0, 0.1).item() == pytest.approx(0.681, abs=5e-4)
    assert drift_per_cycle(10.0, 1 / 101).item() == pytest.approx(0.703, abs=5e-4)
    assert drift_per_cycle(1e6, 1 / (1 + 1e12)).item() == pytest.approx(1 / math.sqrt(2), abs=1e-6)


def test_drift_broadcasts():
    C, b = torch.tensor([3.0, 4.0, 5.0], dtype=f64), torch.tensor([[0.1], [0.9]], dtype=f64)
    grid = drift_per_cycle(C, b)
    assert grid.shape == (2, 3)
    assert grid[1, 2].item() == pytest.approx(drift_per_cycle(5.0, 0.9).item(), abs=1e-12)


def test_break_even_values():
    C = torch.tensor([2.5, 3, 4, 5, 10, 100], dtype=f64)
    values = break_even_beta2(C)
    expected = torch.tensor([0.629, 0.4723, 0.317, 0.237, 0.0983, 0.00566], dtype=f64)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(drift_per_cycle(C, values), torch.zeros(6, dtype=f64), rtol=0, atol=1e-9)


@settings(deadline=None)
@given(cycle=st.integers(3, 200), ratio=st.floats(1.001, 50.0))
def test_the_drift_changes_sign_once_at_break_even(cycle, ratio):
    C = ratio * (cycle - 1)
    star = break_even_beta2(C, cycle).item()
    below, above = torch.linspace(0, star, 40, dtype=f64)[:-1], torch.linspace(star, 1, 40, dtype=f64)[1:]
    assert (drift_per_cycle(C, below, cycle) > 0).all()
    assert (drift_per_cycle(C, above, cycle) < 0).all()


def test_rare_spikes_which_cycle_breaks_which_beta2():
    assert drift_per_cycle(10.0, 0.9, 10).item() == pytest.approx(0.38, abs=5e-3)
    assert drift_per_cycle(10.0, 0.99, 10).item() == pytest.approx(-0.235, abs=1e-3)
    assert drift_per_cycle(30.0, 0.99, 30).item() == pytest.approx(0.205, abs=1e-3)
    assert drift_per_cycle(63.0, 0.999, 63) < 0 < drift_per_cycle(64.0, 0.999, 64)
    assert 1000**2 * (1 - break_even_beta2(1000.0, 1000).item()) == pytest.approx(4, rel=0.01)


# The theorems


@pytest.mark.parametrize("C", [3.0, 10.0])
def test_adam_ends_at_the_wrong_end_with_linear_regret(C):
    beta2, rounds = 1 / (1 + C**2), 30_000
    rule = papers(Adam, 0.9 * math.sqrt(1 - beta2), beta2)
    for start in (-1.0, 0.0, 1.0):
        points = play_long(rule, three_step_game(C), rounds, start)
        assert (points[rounds // 2 :: 3] == 1.0).all()
        average = regret(points, three_step_game(C))[-1].item() / rounds
        assert average == pytest.approx((2 * C - 4) / 3, rel=0.02)
    fixed = play_long(papers(AMSGrad, 0.9 * math.sqrt(1 - beta2), beta2), three_step_game(C), rounds)
    assert fixed[-3:].max() < -0.98
    assert regret(fixed, three_step_game(C))[-1] / rounds < 0.03


@pytest.mark.parametrize("C", [3.0, 10.0, 100.0])
def test_the_default_beta2_is_not_broken_by_three_steps(C):
    points = play_long(Adam(lr=over_root_t(0.85), betas=(0.0, 0.999)), three_step_game(C), 30_000)
    assert points[-300:].max() < -0.98


def test_regret_rates_and_the_bound():
    T, game = 100_000, three_step_game(3.0)
    bound = amsgrad_regret_bound(game.gradients(T), lr=0.85, betas=(0.0, 0.1)).total
    t = np.arange(1, T + 1)
    ends = np.arange(9_999, T, 3)

    def slope(values):
        return np.polyfit(np.log(t[ends]), values[ends].log().numpy(), 1)[0]

    adam = regret(play_long(papers(Adam, 0.85, 0.1), game, T), game)
    amsgrad = regret(play_long(papers(AMSGrad, 0.85, 0.1), game, T), game)
    assert slope(adam) == pytest.approx(1.0, abs=0.02)
    assert slope(amsgrad) == pytest.approx(0.5, abs=0.03)
    assert (bound >= amsgrad).all()
    assert bound[-1].item() == pytest.approx(6182, abs=1)
    assert amsgrad[-1].item() == pytest.approx(315, abs=1)
    assert adam[999] > 691 > 580 > bound[999]


@settings(deadline=None, max_examples=25)
@given(
    slopes=st.lists(st.floats(-10.0, 10.0), min_size=1, max_size=40),
    beta2=st.floats(0.01, 0.99),
    lr=st.floats(0.01, 3.0),
    start=st.floats(-1.0, 1.0),
)
def test_the_bound_holds_on_any_linear_game_without_momentum(slopes, beta2, lr, start):
    game = OnlineGame(torch.tensor(slopes, dtype=f64))
    measured = regret(play_long(papers(AMSGrad, lr, beta2), game, 120, start), game)
    bound = amsgrad_regret_bound(game.gradients(120), lr, (0.0, beta2))
    assert (measured <= bound.total + 1e-9).all()
    assert (bound.momentum == 0).all()


def test_the_bound_with_momentum():
    g = three_step_game(3.0).gradients(20_000)
    constant = amsgrad_regret_bound(g, 0.1, (0.9, 0.99))
    decaying = amsgrad_regret_bound(g, 0.1, (0.9, 0.99), beta1_decay=0.9)
    growth = math.log10(constant.momentum[19_999] / constant.momentum[1_999])
    assert growth == pytest.approx(1.5, abs=0.02)
    assert decaying.momentum[-1] == pytest.approx(decaying.momentum[1_999].item())
    torch.testing.assert_close(constant.distance, decaying.distance)
    # By hand at T = 1: v = (1 - beta2) C^2, every sum has one term.
    root = math.sqrt(0.01) * 3
    assert constant.distance[0].item() == pytest.approx(4 * root / (0.1 * 0.1))
    assert constant.momentum[0].item() == pytest.approx(4 / 0.01 * 0.9 * root / 0.1)
    by_hand = 0.1 / (0.01 * (1 - 0.9 / math.sqrt(0.99)) * 0.1) * 3
    assert constant.gradients[0].item() == pytest.approx(by_hand)


def test_the_1010_game_over_a_million_rounds():
    game, rounds = rare_spike_game(1010.0, 101, rest=10.0), 1_000_000
    adam = play_long(Adam(lr=over_root_t(0.5), betas=(0.9, 0.99)), game, rounds)
    amsgrad = play_long(AMSGrad(lr=over_root_t(0.5), betas=(0.9, 0.99)), game, rounds)
    assert adam[-10_101:].mean() > 0.95
    assert regret(adam, game)[-1] / rounds > 0.15
    assert amsgrad[-10_101:].mean() < -0.95
    assert regret(amsgrad, game)[-1] / rounds < 0.05
    assert drift_per_cycle(101.0, 0.99, 101, 0.9) > 1.8
    assert drift_per_cycle(101.0, 0.9999, 101, 0.9) < 0
