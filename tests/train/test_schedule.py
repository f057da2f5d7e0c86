"""Learning rates: the ends of every shape, and what lies before and after it."""

import math
from dataclasses import replace

import pytest

from vlx.errors import UserError
from vlx.train.schedule import SHAPES, ScheduleConfig, learning_rate

PEAK, STEPS = 3.0, 53


def rates(steps: int = STEPS, **settings) -> list[float]:
    return [learning_rate(ScheduleConfig(**settings), PEAK, steps, s) for s in range(steps + 1)]


@pytest.mark.parametrize("name", SHAPES)
def test_warmup_grows_by_equal_steps_to_the_peak(name):
    rate = rates(name=name, warmup=11)
    assert rate[:11] == pytest.approx([PEAK * (s + 1) / 11 for s in range(11)])
    assert rate[10] == rate[11] == PEAK


@pytest.mark.parametrize(
    ("name", "last"),
    [("cosine", 0.5), ("linear", 0.5), ("polynomial", 0.5), ("constant", PEAK)],
)
def test_ends_of_a_shape(name, last):
    rate = rates(name=name, end=0.5, power=2.0)
    assert rate[0] == PEAK
    assert rate[STEPS] == pytest.approx(last)


def test_middles_of_shapes():
    middle = {name: rates(40, name=name, end=1.0, power=2.0)[20] for name in SHAPES}
    assert middle["cosine"] == pytest.approx((PEAK + 1.0) / 2)
    assert middle["linear"] == pytest.approx((PEAK + 1) / 2)
    assert middle["polynomial"] == pytest.approx(1 + (PEAK - 1) / 4)


def test_rsqrt_halves_after_three_timescales():
    rate = rates(name="rsqrt", timescale=13, warmup=5)
    assert rate[5 + 3 * 13] == pytest.approx(PEAK / 2)


@pytest.mark.parametrize("name", SHAPES)
def test_cooldown_leads_from_the_shape_to_the_end(name):
    settings = {"name": name, "warmup": 7, "end": 0.25, "timescale": 29}
    calm, cooled = rates(**settings), rates(**settings, cooldown=13)
    start = STEPS - 13
    assert cooled[: start + 1] == calm[: start + 1]
    assert cooled[STEPS] == pytest.approx(0.25)
    fall = [0.25 + (calm[start] - 0.25) * (1 - i / 13) for i in range(14)]
    assert cooled[start:] == pytest.approx(fall)


def test_linear_to_end_has_both_ends():
    rate = rates(11, name="linear_to_end", warmup=5, first="zero_to_peak", end=0.5)
    assert rate[:11] == pytest.approx(
        [*(PEAK * s / 4 for s in range(5)), *(PEAK - s * (PEAK - 0.5) / 5 for s in range(6))]
    )


def test_cooldown_follows_its_power():
    rate = rates(name="constant", cooldown=10, power=2.0)
    assert rate[STEPS - 5] == pytest.approx(PEAK / 4)


def test_fractions_are_shares_of_the_run():
    share = ScheduleConfig("linear", warmup=0.1, cooldown=0.25)
    steps = replace(share, warmup=4, cooldown=10)
    for step in range(41):
        assert learning_rate(share, PEAK, 40, step) == learning_rate(steps, PEAK, 40, step)


@pytest.mark.parametrize("name", SHAPES)
def test_rates_are_finite_when_warmup_fills_the_run(name):
    assert all(math.isfinite(rate) for rate in rates(name=name, warmup=STEPS))


def test_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"schedule\.name='cosinus'.*cosine, linear"):
        learning_rate(ScheduleConfig("cosinus"), PEAK, STEPS, 0)


@pytest.mark.parametrize(
    ("first", "share"),
    [
        ("step", lambda s: (s + 1) / 11),
        ("zero", lambda s: s / 11),
        ("zero_to_peak", lambda s: s / 10),
    ],
)
def test_warm_ups_differ_in_what_the_first_step_gets(first, share):
    rate = rates(name="linear", warmup=11, first=first)
    assert rate[:11] == pytest.approx([PEAK * share(s) for s in range(11)])
    assert rate[11] == PEAK


def test_an_unknown_beginning_is_refused():
    with pytest.raises(UserError, match=r"schedule\.first='one': choose from step, zero"):
        rates(first="one")
