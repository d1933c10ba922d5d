"""What the schemas say of overrides that do not fit them."""

import cosched


def test_misspelt_overrides_get_a_hint():
    overrides = ["scheduler.cycle_mlt=2", "+scheduler.phases.warmup.duraton=3", "~scheduler.event", "trainer.lr=1"]
    first, second = cosched.misspelt(overrides)
    assert first.startswith("scheduler.cycle_mlt is not a field of a scheduler: did you mean 'cycle_mult'")
    assert second.startswith("scheduler.phases.warmup.duraton is not a field of a scheduler: did you mean 'duration'")
