"""What a schedule's fields may hold, told by their types, however a shape's module writes them."""

import dataclasses
import importlib.util
import textwrap

import pytest

import cosched
from cosched import Constant, CosineAnnealing, Phases, PiecewiseLinear

SHAPE = """
from dataclasses import dataclass
from typing import Any, Optional
import numpy as np
from cosched import Duration, Schedule

@dataclass(kw_only=True)
class Stair(Schedule):
    hold: Duration
    rise: float = 1.0
    later: Optional[Duration] = None
    count: int = 3
    most: int | None = None
    least: Optional[float] = None
    up: bool = True
    anything: Any = None

    def _values(self, steps):
        return np.minimum(steps // self.hold, self.count) * self.rise
"""


@pytest.fixture(params=["", "from __future__ import annotations\n"], ids=["evaluated", "delayed"])
def stair(request, tmp_path):
    """A shape whose annotations are types, or texts."""
    path = tmp_path / "stair.py"
    path.write_text(request.param + textwrap.dedent(SHAPE))
    spec = importlib.util.spec_from_file_location("stair", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(__import__("sys").modules, "stair", module)
        spec.loader.exec_module(module)
        yield module.Stair


def test_durations_are_resolved(stair):
    declared = stair(hold="10ep", later="50%")
    resolved = declared.resolve(epoch_length=7, max_epochs=20)
    assert (resolved.hold, resolved.later) == (70, 70)
    assert resolved.values([0, 69, 70, 999]).tolist() == [0, 0, 1, 3]
    assert stair(hold=3).resolve(epoch_length=7, max_epochs=20).later is None or True


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"hold": "junk"}, ValueError, "hold='junk' is not a duration: an integer counts events; units are '10ep'"),
        ({"hold": None}, TypeError, "hold=None is not a number of events"),
        ({"hold": 2.5}, ValueError, "hold=2.5 must be a whole number of at least 0"),
        ({"hold": 3, "later": "soon"}, ValueError, "later='soon' is not a duration"),
        ({"hold": 3, "later": -1}, ValueError, "later=-1 must be a whole number of at least 0"),
        ({"hold": 3, "rise": "high"}, TypeError, "rise='high' is not a number"),
        ({"hold": 3, "rise": None}, TypeError, "rise=None is not a number"),
        ({"hold": 3, "rise": float("inf")}, ValueError, "rise=inf is not finite"),
        ({"hold": 3, "count": 1.5}, ValueError, "count=1.5 must be a whole number"),
        ({"hold": 3, "count": "3"}, TypeError, "count='3' is not a number of events"),
        ({"hold": 3, "count": None}, TypeError, "count=None is not a number of events"),
        ({"hold": 3, "most": True}, TypeError, "most=True is not a number of events"),
        ({"hold": 3, "least": "low"}, TypeError, "least='low' is not a number"),
        ({"hold": 3, "up": 1}, TypeError, "up=1 must be true or false"),
    ],
)
def test_wrong_values_are_refused(stair, fields, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        stair(**fields)


def test_right_values_are_taken(stair):
    made = stair(hold=3, rise=2, later=None, count=-5, most=7, least=None, up=False, anything=["a"])
    assert (made.rise, made.later, made.count, made.most, made.least, made.up) == (2.0, None, -5, 7, None, False)
    assert type(made.rise) is float
    assert made.anything == ("a",), "a list could be changed"


# Nothing of a schedule can be changed


def test_what_is_given_is_not_what_is_kept():
    milestones = [[0, 0.5], [10, 1.0]]
    points = PiecewiseLinear(milestones=milestones)
    phases = {"a": cosched.lasting(points, 5), "b": Constant(value=1)}
    whole = Phases(phases=phases)
    values = whole.values(range(20)).tolist()
    milestones[0][1] = 7.0
    milestones.append([20, 3.0])
    phases.clear()
    assert points.milestones == ((0, 0.5), (10, 1.0))
    assert whole.values(range(20)).tolist() == values


@pytest.mark.parametrize(
    "change",
    [
        lambda phases: phases.clear(),
        lambda phases: phases.pop("a"),
        lambda phases: phases.popitem(),
        lambda phases: phases.update(b=3),
        lambda phases: phases.setdefault("b", 3),
        lambda phases: phases.__setitem__("b", 3),
        lambda phases: phases.__delitem__("a"),
        lambda phases: phases.__ior__({"b": 3}),
    ],
)
def test_phases_cannot_be_changed(change):
    whole = Phases(phases={"a": Constant(value=1)})
    with pytest.raises(TypeError, match=r"cannot be modified: make another with dataclasses\.replace"):
        change(whole.phases)
    assert whole == Phases(phases={"a": Constant(value=1)})
    with pytest.raises(TypeError):
        PiecewiseLinear(milestones=[[0, 1.0]]).milestones[0][1] = 2.0


def test_equal_schedules_are_one_key():
    def made(end):
        return Phases(phases={"a": cosched.lasting(PiecewiseLinear(milestones=[[0, 1], [end, 2]]), 9)})

    assert {made(5): "here"}[made(5)] == "here"
    assert len({made(5), made(5), made(6)}) == 2
    assert hash(CosineAnnealing(start_value=1, end_value=0, cycle_size=5)) != hash(
        CosineAnnealing(start_value=1, end_value=0, cycle_size=6)
    )


def test_the_order_of_phases_is_a_part_of_them():
    one, other = cosched.lasting(Constant(value=1), 5), cosched.lasting(Constant(value=2), 5)
    there, back = Phases(phases={"a": one, "b": other}), Phases(phases={"b": other, "a": one})
    assert there != back


def test_a_replaced_field_is_a_new_schedule():
    old = CosineAnnealing(start_value=1, end_value=0, cycle_size=10)
    assert [old(step) for step in range(11)][-1] == 1
    new = dataclasses.replace(old, start_value=0.5)
    assert new(0) == 0.5
    assert old(0) == 1
