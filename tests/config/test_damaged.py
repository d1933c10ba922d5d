"""Configs that are damaged in every way: each is refused with a message that helps, or its values are sound."""

import dataclasses
import inspect
import logging
import math
import random
import traceback
from collections import Counter
from copy import deepcopy
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import hydra
import pytest
import torch
from hydra.errors import HydraException
from ignite.engine import Engine
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import cosched
from cosched import Duration, Event, Mismatch
from cosched.config.schemas import scheduler, typed
from cosched.schedules.phase import phase
from cosched.schedules.registry import registered

SHAPES = registered()
BAD, MAYBE = "bad", "maybe"  # must be refused; may be taken, if the values are then sound
ALONE = "bad alone"  # a second damage may make up for it
ANYWHERE, PLAIN = "anywhere", "plain"  # in which forms of a config the damage can be

# Sound configs


def inner(shape, **fields):
    return {"_target_": "cosched.Phase", "shape": shape, **fields}


def sound(rng, shape):
    """A config of a scheduler; a shape that is added to the package has to be added here."""
    cyclical = {
        "start_value": rng.choice([0.9, 0.5]),
        "end_value": rng.choice([0.1, 0.2]),
        "cycle_size": rng.choice([5, "1ep", "25%", "8it"]),
        "cycle_mult": rng.choice([1, 1.5, 2, 0.7]),
    }
    steps = {
        "up": inner("polynomial_annealing", start_value=0.0, end_value=0.5, power=2, duration=rng.choice([4, "10%"])),
        "stay": inner("scaled", schedule=inner("constant", value=0.25), factor=2.0, duration="25%"),
        "down": inner("cosine_annealing", start_value=0.5, end_value=0.1),
    }
    branch = inner("cosine_annealing", start_value=0.5, end_value=0.1)
    fields = {
        "branched": {"phases": {"trunk": inner("constant", value=0.5, duration=8), "branch": branch}},
        "constant": {"value": 0.3},
        "inverse_sqrt": {"start_value": 0.5, "timescale": rng.choice([3, "1ep"])},
        "phases": {"phases": steps},
        "piecewise_linear": {"milestones": rng.choice([[[0, 0.1], [10, 0.5]], [["0%", 0.1], ["1ep", 0.5]]])},
        "product": {"factors": {"half": inner("constant", value=0.5), "wave": inner("linear_cyclical", **cyclical)}},
        "stages": {"durations": ["1ep", rng.choice(["50%", 20])], "levels": [0.5, 0.1]},
        "step_decay": {"start_value": 0.5, **rng.choice([{"every": "25%"}, {"milestones": [8, "1ep"]}])},
        "scaled": {"schedule": rng.choice([inner("linear_cyclical", **cyclical), inner("phases", phases=steps)])},
    }.get(shape, cyclical)
    name = rng.choice(["lr", "momentum", "weight_decay"])
    more = {"relative": rng.random() < 0.2} if rng.random() < 0.7 else {}
    return {"_target_": f"cosched.{SHAPES[shape].__name__}Scheduler", "param_name": name, **more, **fields}


def nodes(value, path=()):
    """Every scheduler and phase in a config, by its path."""
    found = {path: value} if isinstance(value, dict) and "_target_" in value else {}
    for key, one in value.items() if isinstance(value, dict) else ():
        found |= nodes(one, (*path, key))
    return found


@cache
def fields_of(schema):
    """By name, the type of each field of a typed config, and what it is where a config does not say it."""
    hints = get_type_hints(schema)
    named = (
        field for field in dataclasses.fields(schema) if field.name != "_recursive_"
    )  # Hydra's own, for instantiate
    return {field.name: (hints[field.name], field.default) for field in named}


# What a damage puts in the place of a field, by the field's name, or else by its type


def bad(*values, form=ANYWHERE):
    return [(BAD, value, form) for value in values]


def maybe(*values, form=ANYWHERE):
    return [(MAYBE, value, form) for value in values]


def nested(depth, value):
    """Phases inside of phases."""
    node = inner("constant", value=value)
    for _ in range(depth):
        node = inner("phases", phases={"deeper": node})
    return node


FLOATS, TIMES, INTS = (float, float | None), (Duration, Duration | None), (int | None,)
NUMBERS = (*FLOATS, *TIMES, *INTS)
TEXTS = ("param_name", str | None, Event, Mismatch)
DICT, LIST = dict[str, Any], list[Any]
NAN, INF = math.nan, math.inf
FAR = (2**53, 2**70, 10**30, 1e308)
# Texts are numbers where OmegaConf reads them so.
NO_NUMBERS = ["abc", "", "b'0.1'", "0x1F", "1,5", "½", [], [1.0], {"a": 1}, b"0.1", True]
NO_TEXTS = ["abc", "", [], ["lr"], {"a": 1}, b"lr", True, 3, 2.5]
NO_NODES = ["abc", "", 3, None, True, b"abc"]
NO_TIMES = ["3e", "10 parsecs", "٣ep", "%", "-1ep", "1e9999ep", "ep", "3 e p", "1.5it", "3ep\n", "+3ep", "1/2ep", ".5%"]
NO_TARGETS = [
    *("", "cosched", "cosched.", "cosched..x", "cosched.schedulers", "cosched.nothing", "COSCHED.ConstantScheduler"),
    *("os.system", "builtins.print", "cosched.loops.ignite.attaching.Mismatch", "cosched.config.schemas.fields"),
    *("cosched.CyclicalSchedule", "cosched.schedules.schedule.operator.add", "cosched.\u0441osine", "${nowhere}"),
    *("ignite.handlers.param_scheduler.ParamScheduler", None, 7, 2.5, True, [], ["cosched.ConstantScheduler"], {}),
]
NO_SHAPES = ["", "nothing", "Constant", "cosched.Constant", "cosine-annealing", "const\u0430nt", None, 7, True, [], {}]
NO_PHASES = [{"a": 3}, {"a": None}, {"a": "abc"}, {"a": []}, {"a": {"value": 1}}]
NO_PAIRS = [
    *([], ["abc"], [[]], [[0]], [[0, 1, 2]], [[0, "abc"]], [["abc", 1]], [[0, None]], [[None, 1]], [[0, True]]),
    *([[2.5, 1]], [{"a": 1}], [[0, [1]]], [[[0], 1]]),
]
# OmegaConf itself composes no depth of 200, and one of 50 slowly: those come as plain data.
TOO_DEEP = bad(
    *(reduce(lambda value, _: wrap(value), range(200), 0) for wrap in (lambda one: {"a": one}, lambda one: [one])),
    form=PLAIN,
)
VALUES = {
    "wrong type": {
        float: bad(*NO_NUMBERS, None) + maybe("0.5"),
        float | None: bad(*NO_NUMBERS) + maybe(None, "0.5"),
        Duration: bad(*NO_NUMBERS, None, 2.5),
        Duration | None: bad(*NO_NUMBERS, 2.5) + maybe(None),
        int | None: bad(*NO_NUMBERS, 2.5) + maybe(None, "1"),
        bool: bad("abc", [], {"a": 1}, b"1", None, 2.5) + maybe("yes", 1),
        **dict.fromkeys(TEXTS, bad(*NO_TEXTS, None)),
        str | None: bad(*NO_TEXTS) + maybe(None),
        DICT: bad(*NO_NODES, [], *NO_PHASES) + maybe({}),  # an override with {} changes nothing
        LIST: bad(*NO_NODES, {}, {"a": 1}, *NO_PAIRS) + maybe([3]),
        Any: bad(*NO_NODES, [], {}, {"a": 1}, {"value": 1}),
    },
    "not finite": {
        **dict.fromkeys((*NUMBERS, bool), bad(NAN, INF, -INF, "nan", "-inf", "1e999")),
        LIST: bad([[0, NAN]], [[0, INF]], [[0, -INF]], [[NAN, 1]], [[INF, 1]]),
    },
    "huge": {  # OmegaConf's own float has no message for 10**400
        **dict.fromkeys(FLOATS, maybe(1e308, -1e308, 1.7e308, 2**70, 10**30, 1e-320) + bad(10**400, form=PLAIN)),
        **dict.fromkeys(TIMES, maybe("9" * 400 + "ep", f"{2**60}it") + bad("9" * 5000 + "%", *FAR)),
        **dict.fromkeys(INTS, bad(*FAR)),
        LIST: bad([[2**70, 1]], [[0, 10**400]]) + maybe([[0, 1e308]], [[0, 1e308], [5, -1e308]]),
    },
    "negative": {  # in a phase a value may never be reached; elsewhere it is the first one
        **dict.fromkeys(FLOATS, maybe(-0.5)),
        **{name: [(ALONE, -0.5, ANYWHERE)] for name in ("start_value", "value")},
        **dict.fromkeys(("cycle_mult", "power"), bad(-0.5, 0, -1e308)),
        **dict.fromkeys((*TIMES, *INTS), bad(-1, -(2**70))),
        **dict.fromkeys(("num_cycles", "timescale"), bad(-1, -(2**70), 0)),
        "cycle_size": bad(-1, -(2**70), 0, 1),
        "param_group_index": bad(-3) + maybe(-1),
        LIST: bad([[-1, 1]], [["-1ep", 1]], [[5, 1], [3, 1]], [[5, 1], [5, 1]]),
    },
    "unicode value": {  # Python reads the digits of any script
        **dict.fromkeys((*FLOATS, *INTS), bad("½", "\u22121", "∞") + maybe("\uff11", "٣")),
        **dict.fromkeys(TIMES, bad("٣ep", "\uff13ep", "3\u0435p", "∞%", "3\uff05", "½ep")),
        **dict.fromkeys(TEXTS, bad("\uff4c\uff52", "lr\u200b", "🙂", "\u0435rror", "\x00", "\u202elr")),
        "_target_": bad("cosched.\uff23onstantScheduler", "\u202ecosched", "\x00", "🙂"),
        "shape": bad("\uff43onstant", "constant\u200b", "\x00", "🙂"),
    },
    "nesting": {
        **dict.fromkeys(
            (*NUMBERS, *TEXTS, bool, "shape"), TOO_DEEP + bad(nested(3, 0.5)) + bad(nested(50, 0.5), form=PLAIN)
        ),
        LIST: TOO_DEEP,
        Any: TOO_DEEP
        + (maybe(nested(5, 0.5)) + bad(nested(5, NAN)))
        + (maybe(nested(50, 0.5), form=PLAIN) + bad(nested(50, NAN), form=PLAIN)),
        DICT: TOO_DEEP
        + (maybe({"a": nested(5, 0.5)}) + bad({"a": nested(5, NAN)}))
        + (maybe({"a": nested(50, 0.5)}, form=PLAIN) + bad({"a": nested(50, NAN)}, form=PLAIN)),
    },
    "duration": {**dict.fromkeys(TIMES, bad(*NO_TIMES)), LIST: bad(*([[text, 0.5]] for text in NO_TIMES))},
    "target": {"_target_": bad(*NO_TARGETS)},
    "shape": {"shape": bad(*NO_SHAPES)},
    "event": {
        Event: maybe("EPOCH_STARTED", "epoch_started", "epoch_completed")
        + bad("ITERATION", "STARTED", "exception_raised", "EPOCH", "iteration", "epoch-started", "", 0, -1, {}, ["x"]),
    },
    "where": {
        "param_name": maybe("dampening", "weight_decay", "engine.state.temperature")
        + bad("Ir", "lr[0]", "betas[0]", "params", "name", "maximize", "lr ", "momentum[1]", "lr]", "LR", "*", "engine")
        + bad("engine.state.", "engine.state.nothing", "engine.state.iteration", "engine.state.__class__"),
        "param_group_index": maybe(0, 1, -1) + bad(2, 7, -3, 10**30),
        "param_group": maybe("bo*", "*", "?ody", "[bh]*") + bad("nothing*", "[", "BODY", "body ", ".*"),
    },
    "policy": {
        Mismatch: maybe("checkpoint")
        + bad("Error", "nonsense", "", "error,config", " config", 7, -1, {}, ["error"], 2.5),
    },
}

# Damages: each does one to a node, with the fields that are free for it, and says how bad it is, to which field, and
# in which form


def set_to(values):
    def damage(rng, node, free):
        choices = {name: values.get(name, values.get(kind)) for name, (kind, _) in free.items()}
        names = [name for name in choices if choices[name]]
        if not names:
            return None
        # What the config says already matters more than what it leaves to a default.
        name = rng.choices(names, [3 if name in node else 1 for name in names])[0]
        verdict, node[name], form = rng.choice(choices[name])
        return verdict, name, form

    return damage


def misspell(rng, node, free):
    names = [name for name in node if name in free]
    if not names:
        return None
    name = rng.choice(names)
    i = rng.randrange(1, len(name))
    wrong = rng.choice([name[:i] + name[i:].upper(), name[:i] + name[i - 1 :], name[:i] + name[i + 1 :], f" {name}"])
    if wrong in free:
        return None
    node[wrong] = node.pop(name)
    return BAD, wrong, ANYWHERE


def unknown_key(rng, node, free):
    key = rng.choice(["ключ", "\uff4c\uff52", "lr\u200b", "🙂", "", "start value", "__class__", "a" * 5000, 7])
    node[key] = rng.choice([1, None, "🙂"])
    return BAD, key, ANYWHERE


def leave_out(rng, node, free):
    always = [name for name in ("_target_", "shape") if name in free and name in node]
    names = [name for name in node if name in free and free[name][1] is dataclasses.MISSING]
    if always and rng.random() < 0.3:
        name = rng.choice(always)
        del node[name]
        return BAD, name, PLAIN  # a typed node always has it
    if not names:
        return None
    name = rng.choice(names)
    node.pop(name)
    if rng.random() < 0.5:
        node[name] = "???"
    return BAD, name, ANYWHERE


DAMAGES = {name: set_to(values) for name, values in VALUES.items()}
DAMAGES |= {"misspelt": misspell, "unknown key": unknown_key, "left out": leave_out}


class Case(NamedTuple):
    """A config before and after it was damaged, by which kinds, at which keys, and whether it has to be refused."""

    sound: dict
    damaged: dict
    form: str
    kinds: list
    changes: list  # (path of the node, key)
    bad: bool

    def config(self):
        if self.form == PLAIN:
            return self.damaged
        if self.form == "composed":
            return typed(self.damaged)
        config = typed(self.sound)
        for path, key in self.changes:  # as by an override on the command line
            value = nodes(self.damaged)[path].get(key, "???")
            OmegaConf.update(reduce(getitem, path, config), key, value, merge=True)
        return config


def damaged(rng, shape, first):
    """A sound config of ``shape`` with the damage ``first``, and perhaps another; None: that one has no place in it."""
    before = sound(rng, shape)
    after = deepcopy(before)
    originals = nodes(after)
    form = rng.choice([PLAIN, "composed", "override"])
    kinds, changes, verdicts = [], [], []
    for kind in [first, *rng.choices(list(DAMAGES), k=rng.random() < 0.4)]:
        # The second one leaves alone what contains the first, or came with it, for it is not to undo it.
        reached = nodes(after)
        path = rng.choice([(), rng.choice([(), *(one for one in reached if reached[one] is originals.get(one))])])
        declared = fields_of(phase(SHAPES[nodes(before)[path]["shape"]]) if path else scheduler(SHAPES[shape]))
        free = {name: one for name, one in declared.items() if not changes or one[0] not in (DICT, Any)}
        for _, key in (change for change in changes if change[0] == path):
            free.pop(key, None)
        done = DAMAGES[kind](rng, originals[path], free)
        if done is None and not changes:
            return None
        if done is not None:
            verdict, key, needs = done
            form = needs if needs == PLAIN else "composed" if form == "override" and key not in free else form
            kinds.append(kind)
            changes.append((path, key))
            verdicts.append(MAYBE if verdict == ALONE and path else verdict)
    return Case(before, after, form, kinds, changes, BAD in verdicts or verdicts == [ALONE])


# What comes of them

TOLD = (OmegaConfBaseException, HydraException)
SAID = (ImportError, RecursionError)  # these need no more words than their own, once they are wrapped
# Whose `raise` is meant for the author of a config.
TELLERS = (*(str(Path(one.__file__).parent) for one in (cosched, hydra)), inspect.__file__)


def complaint(error):
    """What is wrong with an error as the answer to a damaged config, if something is."""
    if not isinstance(error, (*TOLD, ValueError, TypeError)):
        return f"it ends with {type(error).__name__}"
    if not str(error).strip():
        return "it has no message"
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    if "numpy" in Path(innermost).parts:
        return f"it comes out of {innermost}"
    while isinstance(error, cosched.ConfigError) or not isinstance(error, (*TOLD, *SAID, type(None))):
        # A crash that is only wrapped, of a len() or an int(), does not say which field is to blame.
        inside = traceback.extract_tb(error.__traceback__)[-1]
        told = inside.filename.startswith(TELLERS) and (inside.line or "").startswith("raise ")
        words = ("argument", "keywords", "abstract")
        called = isinstance(error, TypeError) and any(word in str(error) for word in words)
        if error.__cause__ is None and not told and not called:
            return f"it comes of {error!r:.100} in {inside.name}"
        error = error.__cause__
    return None


def tried(case):
    """How a run with this config ends: where it was refused, or that it went well; and the error."""
    groups = [{"params": [torch.zeros(1)], "name": name} for name in ("body", "head")]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-4)
    seen = []

    def step(engine, batch):
        seen.extend(group[name] for group in optimizer.param_groups for name in ("lr", "momentum", "weight_decay"))
        seen.append(engine.state.temperature)

    engine = Engine(step)
    engine.state.temperature = 1.0
    stage = "composed"
    try:
        config = case.config()
        stage = "attached"
        cosched.attach(engine, config, optimizer)
        stage = "started"
        engine.run(range(20), max_epochs=2)
    except Exception as error:
        return ("running" if seen else stage), error, complaint(error)
    sound = len(seen) == 40 * 7 and all(math.isfinite(value) for value in seen)
    return "accepted", None, None if sound else "values that are not finite"


@pytest.mark.filterwarnings("ignore:cycle_mult", "ignore:.*(cycles shrink|comes too late|as there is one cycle)")
@pytest.mark.parametrize("number", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_damaged_config_is_refused_with_a_message_or_runs_soundly(shape, number, caplog):
    caplog.set_level(logging.CRITICAL + 1)  # ignite and Hydra log each error too
    rng = random.Random(f"damaged {shape}")
    outcomes, kinds, failures = Counter(), Counter(), []
    possible = [kind for kind in DAMAGES if any(damaged(rng, shape, kind) for _ in range(50))]
    while outcomes.total() < number:
        case = damaged(rng, shape, possible[outcomes.total() % len(possible)])
        if case is None:
            continue
        outcome, error, wrong = tried(case)
        if outcome == "running":
            wrong = "the run had begun"
        elif outcome == "accepted" and case.bad:
            wrong = "it was accepted"
        outcomes[outcome] += 1
        kinds.update(case.kinds)
        if wrong:
            failures.append((wrong, case.form, case.kinds, f"{case.damaged}"[:300], f"{error!r}"[:300]))
    assert failures == [], "\n".join(map(str, failures))
    assert min(kinds[kind] for kind in possible) >= number // len(DAMAGES)
    assert min(outcomes[outcome] for outcome in ("composed", "attached", "accepted")) >= number // 100
