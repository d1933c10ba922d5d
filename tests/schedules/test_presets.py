"""The packaged presets: each is the formula of its paper, in a run of any length."""

import math
import re

import numpy as np
import pytest
import torch
from helpers import ROOT
from hydra import compose, initialize
from omegaconf import OmegaConf
from torch.nn import Parameter
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR

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
    position = (i - n // 25) % (n * 32 // 100) - n * 27 // 100
    x = position / (n * 5 // 100)
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
    reached = min(1, (n * 3 / 100) ** 0.51 * max(min(i, stop), 1) ** -0.51)
    return reached if i < stop else reached * (n - i) / (n - stop)


def d2z(i, n):
    return ramp(i, n // 10) if i < n // 10 else (n - i) / (n - n // 10)


def one_cycle(low, high, end):
    def value(i, n):
        top = n * 3 // 10
        return cosine(low, high, i / top) if i < top else cosine(high, end, (i - top) / (n - top))

    return value


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
    "linear_decay": ([], lambda i, n: 1 - i / n),
    "polynomial": ([], lambda i, n: (1 - i / n) ** 0.9),
    "cosine_hold": ([], lambda i, n: cosine(1, 0.1, min(i / (n * 8667 // 10000), 1))),
    "one_cycle": ([], one_cycle(1 / 25, 1, 1 / 25 / 10_000)),
    "one_cycle_momentum": ([], one_cycle(0.95 / PEAK, 0.85 / PEAK, 0.95 / PEAK)),
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


def cyclical(mode):
    return lambda optimizer: CyclicLR(
        optimizer, base_lr=0.01, max_lr=0.1, step_size_up=200, mode=mode, gamma=0.99994, cycle_momentum=False
    )


TORCHS = {
    "clr_triangular": cyclical("triangular"),
    "clr_triangular2": cyclical("triangular2"),
    "clr_exp_range": cyclical("exp_range"),
    "sgdr": lambda optimizer: CosineAnnealingWarmRestarts(optimizer, T_0=1000, T_mult=2),
}


@pytest.mark.parametrize("name", TORCHS)
def test_a_preset_stated_in_epochs_is_torchs_scheduler(option, name):
    optimizer = SGD([Parameter(torch.zeros(1))], lr=0.05)
    scheduler, expected = TORCHS[name](optimizer), []
    for _ in range(3500):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule = option(name).resolve(epoch_length=100, max_epochs=35)
    np.testing.assert_allclose(schedule.values(range(3500)), expected, rtol=1e-9, atol=1e-12)


def test_every_preset_is_compared_with_its_source():
    presets = {path.stem for path in (ROOT / "cosched/conf/scheduler").glob("*.yaml")}
    assert presets == {name.split(",")[0] for name in FORMULAS} | set(TORCHS)


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
