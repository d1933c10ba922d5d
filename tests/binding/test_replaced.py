"""Groups, tensors and optimizers that are exchanged under a scheduler: they are followed, or the run is refused."""

import copy

import pytest
import torch
from ignite.engine import Engine, Events

import cosched
from cosched import CosineAnnealingScheduler

CURVE = cosched.CosineAnnealing(start_value=1.0, end_value=0.0, cycle_size=10)


def optimizer(lr=0.5, groups=2):
    return torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for _ in range(groups)], momentum=0.9)


def bound(to, **fields):
    return CosineAnnealingScheduler(to, "lr", 1.0, 0.0, 10, **fields)


def held(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def driven(scheduler, optimizer, change, at=3):
    """What the groups hold at each of ten events, of which ``change`` happens between two."""
    seen = []

    def step(engine, batch):
        seen.append(held(optimizer))
        if engine.state.iteration == at:
            change(optimizer)

    engine = Engine(step)
    scheduler.attach(engine)
    engine.run(range(10))
    return seen


def pop_and_add(optimizer):
    optimizer.param_groups.append(dict(optimizer.param_groups.pop()))


def replace_one(optimizer):
    optimizer.param_groups[0] = dict(optimizer.param_groups[0], lr=0.123)


def replace_all(optimizer):
    optimizer.param_groups = [dict(group, lr=0.123) for group in optimizer.param_groups]


def exchange_values(optimizer):
    optimizer.param_groups[1]["lr"] = torch.tensor(0.123, dtype=torch.float64)


@pytest.mark.parametrize("lr", [0.5, torch.tensor(0.5, dtype=torch.float64)], ids=["float", "tensor"])
@pytest.mark.parametrize("change", [pop_and_add, replace_one, replace_all, exchange_values])
def test_what_is_exchanged_is_driven_on(change, lr):
    to = optimizer(lr)
    assert driven(bound(to), to, change) == [[value, value] for value in CURVE.values(range(10)).tolist()]


def test_a_tensor_that_takes_the_place_of_another_is_filled_and_the_old_one_left_alone():
    to = optimizer(torch.tensor(0.5, dtype=torch.float64), groups=1)
    old, new = to.param_groups[0]["lr"], torch.tensor(0.123, dtype=torch.float64)
    driven(bound(to), to, lambda optimizer: optimizer.param_groups[0].update(lr=new))
    assert to.param_groups[0]["lr"] is new
    assert float(new) == CURVE(9)
    assert float(old) == CURVE(3), "the event in which the exchange is seen is the last that reaches it"


def test_a_group_that_is_chosen_by_its_name_is_followed():
    to = optimizer()
    for name, group in zip("ab", to.param_groups, strict=True):
        group["name"] = name

    def swap(optimizer):
        optimizer.param_groups.reverse()

    seen = driven(bound(to, param_group="b"), to, swap)
    assert [value for _, value in seen[:3]] + [value for value, _ in seen[3:]] == CURVE.values(range(10)).tolist()
    assert {other for other, _ in seen[:3]} | {other for _, other in seen[3:]} == {0.5}


class Copies:
    """An optimizer that gives its groups away as copies."""

    def __init__(self):
        self._groups = [{"lr": 0.5}]

    @property
    def param_groups(self):
        return copy.deepcopy(self._groups)


def test_groups_that_are_given_away_as_copies_are_refused():
    with pytest.raises(RuntimeError, match=r"param_name='lr' cannot be driven: Copies\.param_groups gives copies"):
        bound(Copies())(None)


def test_the_optimizer_of_a_scheduler_cannot_be_exchanged(sgd):
    scheduler = bound(sgd)
    with pytest.raises(AttributeError, match=r"optimizer cannot be exchanged: .* make another scheduler"):
        scheduler.optimizer = optimizer()
    assert scheduler.optimizer is sgd


def test_a_number_that_another_engines_scheduler_has_taken_over_is_refused(sgd):
    first, second = Engine(lambda *_: None), Engine(lambda *_: None)
    bound(sgd).attach(first)
    bound(sgd).attach(second)
    first.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: second.run(range(2)))
    with pytest.raises(RuntimeError, match="'lr' on iteration_started does not drive its parameter any more, for"):
        first.run(range(10))
    first.run(range(10), max_epochs=1)


def test_engines_one_after_another_may_drive_the_same_number(sgd):
    for _ in range(2):
        engine = Engine(lambda *_: None)
        bound(sgd).attach(engine)
        engine.run(range(4))
        assert held(sgd) == [CURVE(3)] * 2


def test_what_is_detached_is_not_driven_and_another_may_take_over(sgd):
    engine = Engine(lambda *_: None)
    scheduler = cosched.attach(engine, bound(sgd))
    engine.run(range(2))
    cosched.detach(engine, scheduler)
    cosched.attach(engine, CosineAnnealingScheduler(sgd, "lr", 7.0, 0.0, 10))
    engine.run(range(1), max_epochs=1)
    assert held(sgd) == [7.0, 7.0]
    cosched.detach(engine)
    sgd.param_groups[0]["lr"] = 0.25
    engine.run(range(3), max_epochs=1)
    assert sgd.param_groups[0]["lr"] == 0.25


def test_an_engine_with_attached_schedulers_cannot_be_copied(sgd):
    engine = Engine(lambda *_: None)
    cosched.attach(engine, bound(sgd))
    with pytest.raises(TypeError, match=r"lr follows its clock: copy it before cosched\.attach"):
        copy.deepcopy(engine)
