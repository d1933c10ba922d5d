"""The packaged presets: each is the formula of its paper, in a run of any length."""

import math
import re

import numpy as np
import pytest
from helpers import ROOT
from hydra import compose, initialize
from omegaconf import OmegaConf

PEAK = 0.1


def ramp(i, events):
    """Linear up to 1, which the event after it has; the event before the first one would have 0."""
    return (i + 1) / (events + 1)


def cosine(start, end, x):
    return end + (start - end) * (1 + math.cos(math.pi * x)) / 2


def wsd(decay):
    def value(i, n):
        warm, stop = n // 20, n * 8 // 10
        if i < warm:
            return ramp(i, warm)
        return 1 if i < stop else decay((i - stop) / (n - stop))

    return value


def minicpm_wsd(i, n):
    if i < n // 100:
        return ramp(i, n // 100)
    stop, half_life = n * 9 // 10, n / 50
    return 1 if i < stop else 0.5 ** ((i - stop) / half_life)


def wsd_s(i, n):
    if i < n // 25:
        return ramp(i, n // 25)
    position = (i - n // 25) % (n * 32 // 100) - n * 24 // 100
    x = position / (n * 8 // 100)
    return 1 if x < 0 else 1 / (x / 0.1 + (1 - x) / 1)


def deepseek_multistep(i, n):
    if i < n // 100:
        return ramp(i, n // 100)
    return 1 if i < 0.8 * n else 0.1**0.5 if i < 0.9 * n else 0.1


def deepseek_v3(i, n):
    if i < n // 100:
        return ramp(i, n // 100)
    ends = [round(n * share) for share in (0.6757, 0.9662, 0.9887)]
    if i < ends[0]:
        return 1
    if i < ends[1]:
        return cosine(1, 0.1, (i - ends[0]) / (ends[1] - ends[0]))
    return 0.1 if i < ends[2] else 7.3e-6 / 2.2e-4


def infinite_cosine(i, n):
    warm, cooled, kept = n // 100, n * 60 // 100, n * 85 // 100
    if i < warm:
        return ramp(i, warm)
    if i < cooled:
        return cosine(1, 0.55, (i - warm) / (cooled - warm))
    return 0.55 if i < kept else 0.55 * (0.1 / 0.55) ** ((i - kept) / (n - kept))


def noam(i, n):
    step, warm = i + 1, n // 10
    return warm**0.5 * min(step**-0.5, step * warm**-1.5)


def infinite_rsqrt(i, n):
    stop = n * 8 // 10
    return noam(i, n) if i < stop else noam(stop, n) * (n - i) / (n - stop)


def power(i, n):
    if i < n // 100:
        return ramp(i, n // 100)
    stop = n * 9 // 10
    reached = min(1, (n / 10) ** 0.51 * max(min(i, stop), 1) ** -0.51)
    return reached if i < stop else reached * (n - i) / (n - stop)


def d2z(i, n):
    return ramp(i, n // 10) if i < n // 10 else (n - i) / (n - n // 10)


def step(i, n):
    return 0.1 ** (i // (n * 3334 // 10000))


FORMULAS = {
    "wsd": ([], wsd(lambda x: 1 - x)),
    "wsd, root": (["scheduler.phases.decay.k_decay=0.5"], wsd(lambda x: 1 - math.sqrt(x))),
    "wsd, root by its shape": (
        ["cosched/phase@scheduler.phases.decay=sqrt_annealing"],
        wsd(lambda x: 1 - math.sqrt(x)),
    ),
    "wsd, square": (["scheduler.phases.decay.k_decay=2"], wsd(lambda x: 1 - x**2)),
    "wsd, cosine": (["cosched/phase@scheduler.phases.decay=cosine_annealing"], wsd(lambda x: cosine(1, 0, x))),
    "minicpm_wsd": ([], minicpm_wsd),
    "wsd_s": ([], wsd_s),
    "deepseek_multistep": ([], deepseek_multistep),
    "deepseek_v3": ([], deepseek_v3),
    "infinite_cosine": ([], infinite_cosine),
    "infinite_rsqrt": ([], infinite_rsqrt),
    "noam": ([], noam),
    "power": ([], power),
    "d2z": ([], d2z),
    "step": ([], step),
    "chinchilla": ([], lambda i, n: cosine(1, 0.1, i / n)),
    "warmup_cosine": (
        [],
        lambda i, n: ramp(i, n // 20) if i < n // 20 else cosine(1, 0, (i - n // 20) / (n - n // 20)),
    ),
    "muon_momentum": ([], lambda i, n: (0.85 + 0.1 * min(i / (n // 10), 1)) / PEAK),
}


@pytest.fixture(scope="module")
def option():
    """What makes a packaged option's schedule, with overrides."""
    with initialize(version_base=None, config_path=None):
        yield lambda name, *overrides: OmegaConf.to_object(
            compose(overrides=[f"+scheduler={name}", *overrides]).scheduler
        )


@pytest.mark.parametrize("n", [10_000, pytest.param(30_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_preset_is_its_papers_formula(option, name, n):
    overrides, formula = FORMULAS[name]
    schedule = option(name.split(",")[0], *overrides).resolve(epoch_length=100, max_epochs=n // 100)
    expected = [PEAK * formula(i, n) for i in range(n)]
    np.testing.assert_allclose(schedule.values(range(n)), expected, rtol=1e-12, atol=1e-15 * PEAK)


PEAKS = {
    path.stem: found[1]
    for path in sorted((ROOT / "cosched/conf/scheduler").glob("*.yaml"))
    if (found := re.search(r"The peak: (scheduler\.[\w.]+\w)", path.read_text()))
}


@pytest.mark.parametrize(("name", "field"), PEAKS.items(), ids=PEAKS)
@pytest.mark.slow
def test_one_override_sets_the_peak(option, name, field):
    run = {"epoch_length": 100, "max_epochs": 10}
    values = option(name).resolve(**run).values(range(1000))
    higher = option(name, f"{field}=0.3").resolve(**run).values(range(1000))
    assert values.max() == PEAK
    np.testing.assert_allclose(higher, 3 * values, rtol=1e-12)


WARMED = [
    path.stem for path in sorted((ROOT / "cosched/conf/scheduler").glob("*.yaml")) if "startpoint=" in path.read_text()
]


@pytest.mark.parametrize("name", [*WARMED, "infinite_rsqrt"])
def test_the_first_update_of_a_warm_up_is_not_0_unless_that_is_asked_for(option, name):
    run = {"epoch_length": 100, "max_epochs": 10}
    inside = "schedule." if name in ("minicpm_wsd", "deepseek_v3", "infinite_cosine") else ""
    zero = option(name, f"scheduler.{inside}phases.warmup.startpoint=true").resolve(**run)
    assert option(name).resolve(**run)(0) > 0
    assert zero(0) == 0
    assert zero.values(range(1000)).max() == PEAK
