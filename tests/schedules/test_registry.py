"""One registry for everybody's shapes: names, clashes, and what other packages offer."""

import dataclasses
import importlib.metadata
import pickle
import sys

import pytest
from helpers import Run

import cosched
from cosched.schedules import registry
from cosched.schedules.phase import phase


@pytest.fixture
def shapes(monkeypatch):
    """A registry that forgets afterwards."""
    monkeypatch.setattr(registry, "_shapes", registry.registered())
    yield registry
    registry._offered.cache_clear()


@dataclasses.dataclass(kw_only=True)
class Mine(cosched.Schedule):
    value: float

    def _values(self, steps):
        return steps * 0 + self.value


def offer(monkeypatch, *points):
    found = [importlib.metadata.EntryPoint(name, value, registry.GROUP) for name, value in points]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: found if group == registry.GROUP else [])
    registry._offered.cache_clear()


def test_all_of_ours_are_registered_once(shapes):
    public = [getattr(cosched, name) for name in cosched.__all__]
    bound = {one.shape for one in public if isinstance(one, type) and hasattr(one, "shape") and one.shape.__doc__}
    assert cosched.SqrtAnnealing in bound
    assert bound <= {*shapes.registered().values()}
    for name, one in shapes.registered().items():
        assert shapes.name_of(one) == name
        assert shapes.shape(name) is one


@pytest.mark.parametrize(
    "ask",
    [
        "registry.registered()['stages']",
        "registry.shape('stages')",
        "registry.known('stages') and 'Stages'",
        "'stages' in registry.names() and 'Stages'",
        "type(cosched.Phase(shape='stages', durations=[1], levels=[1])).__name__",
        "pickle.loads(b'ccosched.schedules.phase\\nphase\\n.').stages.__name__",
        "registry.register('stages')(make_dataclass('Mine', [], bases=(cosched.Schedule,)))",
    ],
)
def test_ours_are_known_before_their_modules_are_loaded(ask, tmp_path):
    code = (
        "import pickle, sys, cosched; from cosched.schedules import registry; from dataclasses import make_dataclass\n"
        "assert 'cosched.schedules.stages' not in sys.modules\n"
        f"try: print({ask})\n"
        "except ValueError as error: print(error)"
    )
    assert "Stages" in Run(sys.executable, "-c", code, cwd=tmp_path).check().out


def test_two_shapes_of_one_name_are_an_error_that_names_both(shapes):
    with pytest.raises(ValueError, match=r"CosineAnnealing and .*test_registry\.Mine are both registered as 'cosine_"):
        shapes.register("cosine_annealing")(Mine)


def test_a_module_that_is_executed_twice_registers_its_shape_again(shapes):
    namespace = {"__name__": "theirs", "cosched": cosched, "dataclasses": dataclasses}
    code = "@cosched.register('twice')\n@dataclasses.dataclass\nclass Twice(cosched.Constant): pass"
    exec(code, namespace)
    exec(code, namespace)
    assert shapes.shape("twice") is namespace["Twice"]


@pytest.mark.parametrize("name", ["", "a b", "a-b", 3, None])
def test_a_name_is_an_identifier(name):
    with pytest.raises(ValueError, match="must be an identifier, as 'sqrt_annealing'"):
        cosched.register(name)


@pytest.mark.parametrize("wrong", [int, lambda: None, type("NoDataclass", (cosched.Constant,), {})])
def test_only_dataclasses_derived_from_a_schedule_are_shapes(shapes, wrong):
    with pytest.raises(TypeError, match=r"cannot be registered as 'mine': decorate a class derived from cosched\.Sch"):
        shapes.register("mine")(wrong)


def test_a_registered_shape_has_a_hash_and_can_be_pickled_as_a_phase(shapes):
    mine = shapes.register("mine")(Mine)
    assert hash(mine(value=1)) == hash(Mine(value=1.0))
    lasting = cosched.lasting(mine(value=1), 3)
    assert pickle.loads(pickle.dumps(lasting)) == lasting
    assert pickle.loads(pickle.dumps(phase(Mine))) is phase.mine


def test_what_is_not_registered_cannot_be_a_phase():
    @dataclasses.dataclass(kw_only=True)
    class Unknown(Mine):
        pass

    with pytest.raises(ValueError, match=r'Unknown is not registered: decorate it with @cosched\.register\("a_name"\)'):
        cosched.lasting(Unknown(value=1), 3)


def test_an_unknown_name_gets_a_hint_and_the_remedy(shapes):
    with pytest.raises(
        ValueError, match="'cosine_anealing' is not a registered shape: did you mean 'cosine_annealing'"
    ):
        shapes.shape("cosine_anealing")


def test_what_another_package_offers_is_known_but_not_loaded(shapes, monkeypatch):
    offer(monkeypatch, ("theirs", "a_package_that_is_not_there:Shape"))
    assert shapes.known("theirs")
    assert "theirs" in shapes.names()
    with pytest.raises(ValueError, match=r"the shape 'theirs' of .* \(a_package.*\) cannot be loaded: No module named"):
        shapes.shape("theirs")


def test_two_packages_that_offer_one_name_are_an_error_when_it_is_asked_for(shapes, monkeypatch):
    offer(monkeypatch, ("theirs", "one:Shape"), ("theirs", "two:Shape"), ("theirs", "one:Shape"))
    assert shapes.shape("constant") is cosched.Constant
    with pytest.raises(ValueError, match=r"one:Shape .* and two:Shape .* are both offered as the shape 'theirs'"):
        shapes.shape("theirs")


def test_an_offer_must_be_registered_under_its_name(shapes, monkeypatch):
    offer(monkeypatch, ("theirs", f"{__name__}:Mine"))
    with pytest.raises(
        ValueError, match=r"but does not register it: decorate it with @cosched\.register\(\"theirs\"\)"
    ):
        shapes.shape("theirs")


@pytest.mark.parametrize("field", ["event", "param_name", "duration", "shape"])
def test_fields_that_mean_something_in_every_config_are_refused(shapes, field):
    clashing = dataclasses.make_dataclass("Clashing", [(field, str)], bases=(Mine,), kw_only=True)
    shapes.register("clashing")(clashing)
    from cosched.config.schemas import scheduler

    with pytest.raises(ValueError, match=f"the fields {field} of the shape 'clashing' have a meaning in every config"):
        scheduler(clashing)
