"""What a long run and a careless config do to it: a million events, and two thousand configs that were damaged."""

import dataclasses
import gc
import inspect
import itertools
import logging
import math
import random
import sys
import traceback
from collections import Counter
from pathlib import Path

import hydra
import pytest
import torch
from hydra.errors import HydraException
from ignite.engine import Engine
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import cosched
from cosched import config as configs
from cosched import phases as composed
from cosched.config.schemas import CONFIGS
from cosched.schedules.registry import registered

SHAPES = registered()

pytestmark = pytest.mark.filterwarnings("ignore:cycle_mult", "ignore:.*cycles shrink", "ignore:.*comes too late")

# A long run

LENGTH = 10**6
LONG = {
    "lr": configs.CONFIGS.cosine_annealing(start_value=0.1, end_value=0.001, cycle_size=100, cycle_mult=1.5),
    "momentum": configs.CONFIGS.linear_cyclical(
        start_value=0.95, end_value=0.85, cycle_size=777, param_name="momentum", amplitude_mult=0.999
    ),
    "weight_decay": configs.PhasesConfig(
        phases={
            "up": composed.PolynomialAnnealingPhase(start_value=0, end_value=0.01, power=2, duration="5%"),
            "stay": composed.ConstantPhase(value=0.01, duration="500000it"),
            "down": composed.SqrtAnnealingPhase(start_value=0.01, end_value=1e-5),
        },
        param_name="weight_decay",
    ),
    "temperature": configs.ExponentialAnnealingConfig(
        start_value=10, end_value=0.1, cycle_size="10%", warmup_duration=1000, param_name="engine.state.temperature"
    ),
}


@pytest.mark.slow
def test_a_million_events_neither_drift_nor_fill_the_memory(sgd):
    # Made without an engine, so nothing that the run does can be in them.
    pure = {name: one.resolve(epoch_length=LENGTH, max_epochs=1) for name, one in LONG.items()}
    # The first and the last event, and both sides of where a block of 4096 values gives way to the next.
    edges = [edge + i for edge in range(4096, LENGTH, 40960) for i in (0, 1)]
    chosen = random.Random(1).sample(range(2, LENGTH), 1000)
    sampled = {1, LENGTH, *edges, *chosen}
    blocks, checked, wrong = {}, Counter(), []

    def step(engine, batch):
        iteration = engine.state.iteration
        if iteration in sampled:
            held = {**sgd.param_groups[-1], "temperature": engine.state.temperature}
            for name, schedule in pure.items():
                checked[name] += 1
                if held[name] != schedule(iteration - 1):
                    wrong.append((name, iteration))
        if iteration in (LENGTH // 5, LENGTH):
            gc.collect()
            blocks[iteration] = sys.getallocatedblocks()

    engine = Engine(step)
    engine.state.temperature = 1.0
    cosched.attach(engine, LONG, sgd)
    engine.run(itertools.repeat(None), max_epochs=1, epoch_length=LENGTH)
    assert wrong == []
    assert set(checked.values()) == {len(sampled)}
    assert not hasattr(engine.state, "param_history")
    # What is kept per event would be 800,000 blocks; a table of cycles may grow by a few rows.
    assert blocks[LENGTH] - blocks[LENGTH // 5] < 1000


# Damaged configs

DAMAGED = 2000  # configs in all, as many of each shape
BAD, MAYBE = "bad", "maybe"  # must be refused; may be taken, if the values are then sound
ALONE = "bad alone"  # a second damage may make up for it
ANYWHERE, PLAIN = "anywhere", "plain"  # in which forms of a config the damage can be


class Node:
    """A config of a scheduler or of a phase, before it is given a form; a phase's is inside of another's."""

    def __init__(self, schema, **fields):
        self.schema, self.fields, self.without = schema, fields, set()
        self.declared = {field.name: field for field in dataclasses.fields(schema)}

    def types(self):
        return {name: str(getattr(f.type, "__name__", f.type)) for name, f in self.declared.items()}

    def required(self):
        return [n for n, f in self.declared.items() if f.default is dataclasses.MISSING and n in self.fields]


def walk(value):
    """Every node in ``value``, and the node itself."""
    if isinstance(value, Node):
        yield value
        value = value.fields
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)


def plain(value):
    """As a file of YAML has it, with ``_target_``."""
    if isinstance(value, Node):
        target = {} if "_target_" in value.without else {"_target_": value.declared["_target_"].default}
        needed = {"param_name": "lr"} if "param_name" in value.declared else {}
        value = {**target, **needed, **value.fields}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def typed(value):
    """As Hydra composes it, of typed nodes."""
    if isinstance(value, Node):
        return OmegaConf.merge(OmegaConf.structured(value.schema), typed(value.fields))
    if isinstance(value, dict):
        return {key: typed(one) for key, one in value.items()}
    return [typed(one) for one in value] if isinstance(value, list) else value


def fields_of(rng, shape):
    """Sound fields for a shape; a shape that is added to the package has to be added here."""
    cyclical = {
        "start_value": rng.choice([0.9, 0.5]),
        "end_value": rng.choice([0.1, 0.2]),
        "cycle_size": rng.choice([5, "1ep", "25%", "8it"]),
        "cycle_mult": rng.choice([1, 1.5, 2, 0.7]),
    }
    inner = lambda name, **changes: Node(composed.phase(SHAPES[name]), **changes)  # noqa: E731
    steps = {
        "up": inner("polynomial_annealing", start_value=0.0, end_value=0.5, power=2, duration=rng.choice([4, "10%"])),
        "stay": inner("scaled", schedule=inner("constant", value=0.25), factor=2.0, duration="25%"),
        "down": inner("cosine_annealing", start_value=0.5, end_value=0.1),
    }
    return {
        "constant": {"value": 0.3},
        "inverse_sqrt": {"start_value": 0.5, "timescale": rng.choice([3, "1ep"])},
        "phases": {"phases": steps},
        "piecewise_linear": {"milestones": rng.choice([[[0, 0.1], [10, 0.5]], [["0%", 0.1], ["1ep", 0.5]]])},
        "scaled": {"schedule": rng.choice([inner("linear_cyclical", **cyclical), inner("phases", phases=steps)])},
    }.get(shape, cyclical)


def nested(depth, value):
    """Phases inside of phases."""
    node = Node(composed.phase(SHAPES["constant"]), value=value)
    for _ in range(depth):
        node = Node(composed.phase(SHAPES["phases"]), phases={"deeper": node})
    return node


def deep(depth, make):
    """A dict in a dict or a list in a list, and so on."""
    value = make(0)
    for _ in range(depth):
        value = make(value)
    return value


# What each damage puts in the place of a field, by the field's type. Texts are numbers where OmegaConf reads them so.
FLOATS, TIMES = {"float", "float | None"}, {"Duration", "Duration | None"}
NUMBERS = FLOATS | TIMES | {"int | None"}
CONTAINERS = {"dict[str, Any]", "Any"}
NO_NUMBERS = ["abc", "", "b'0.1'", "0x1F", "1,5", "½", [], [1.0], {"a": 1}, b"0.1"]
NO_TIMES = ["3e", "10 parsecs", "٣ep", "%", "-1ep", "1e9999ep", "ep", "3 e p", "1.5it", "3ep\n", "+3ep", "1/2ep", ".5%"]
NO_TARGETS = [
    *("", "cosched", "cosched.", "cosched..x", "cosched.schedulers", "cosched.nothing", "COSCHED.ConstantScheduler"),
    *("os.system", "builtins.print", "cosched.schedulers.math.sin", "cosched.schedulers.Mismatch", "${nowhere}"),
    *("cosched.schedulers.BoundScheduler", "ignite.handlers.param_scheduler.ParamScheduler", "cosched.\u0441osine"),
    *(None, 7, 2.5, True, [], ["cosched.ConstantScheduler"], {}),
]
NO_PHASES = [{}, {"a": 3}, {"a": None}, {"a": "abc"}, {"a": []}, {"a": {"value": 1}}]
NO_PAIRS = [
    *([], [3], ["abc"], [[]], [[0]], [[0, 1, 2]], [[0, "abc"]], [["abc", 1]], [[0, None]], [[None, 1]], [[0, True]]),
    *([[2.5, 1]], [{"a": 1}], [[0, [1]]], [[[0], 1]]),
]
NAN, INF = math.nan, math.inf


def wrong_type(name, kind):
    numbers = [(BAD, value) for value in NO_NUMBERS] + [(MAYBE if "None" in kind else BAD, None)]
    no_node = [(BAD, value) for value in ("abc", "", 3, None, True, b"abc")]
    texts = [(BAD, value) for value in ("abc", "", [], ["lr"], {"a": 1}, b"lr", True, 3, 2.5)]
    return {
        "float": [*numbers, (BAD, True), (MAYBE, "0.5")],
        "float | None": [*numbers, (BAD, False), (MAYBE, "0.5")],
        "Duration": [*numbers, (BAD, True), (BAD, 2.5)],
        "Duration | None": [*numbers, (BAD, True), (BAD, 2.5)],
        "int | None": [*numbers, (BAD, True), (BAD, 2.5), (MAYBE, "1")],
        "bool": [(BAD, value) for value in ("abc", [], {"a": 1}, b"1", None, 2.5)] + [(MAYBE, "yes"), (MAYBE, 1)],
        "str": [*texts, (BAD, None)] if name == "param_name" else [],
        "str | None": [*texts, (MAYBE, None)],
        "Event": [*texts, (BAD, None)],
        "Mismatch": [*texts, (BAD, None)],
        "dict[str, Any]": [*no_node, (BAD, []), *((BAD, value) for value in NO_PHASES)],
        "list[Any]": [*no_node, (BAD, {}), (BAD, {"a": 1}), *((BAD, value) for value in NO_PAIRS)],
        "Any": [*no_node, *((BAD, value) for value in ([], {}, {"a": 1}, {"value": 1}))],
    }.get(kind, [])


def not_finite(name, kind):
    if kind == "list[Any]":
        return [(BAD, [[0, value]]) for value in (NAN, INF, -INF)] + [(BAD, [[NAN, 1]]), (BAD, [[INF, 1]])]
    return [(BAD, value) for value in (NAN, INF, -INF, "nan", "-inf", "1e999")] if kind in NUMBERS | {"bool"} else []


def huge(name, kind):
    if kind in FLOATS:
        many = [(MAYBE, value) for value in (1e308, -1e308, 1.7e308, 2**70, 10**30, 1e-320)]
        return [*many, (BAD, 10**400, PLAIN)]  # OmegaConf's own float has no message for it
    if kind == "list[Any]":
        return [(BAD, [[2**70, 1]]), (BAD, [[0, 10**400]]), (MAYBE, [[0, 1e308]]), (MAYBE, [[0, 1e308], [5, -1e308]])]
    texts = [(MAYBE, "9" * 400 + "ep"), (MAYBE, f"{2**60}it"), (BAD, "9" * 5000 + "%")] if kind in TIMES else []
    return [*texts, *((BAD, value) for value in (2**53, 2**70, 10**30, 1e308))] if kind in NUMBERS else []


def negative(name, kind):
    if name in ("cycle_mult", "power"):
        return [(BAD, value) for value in (-0.5, 0, -1e308)]
    if kind in FLOATS:  # in a phase it may never come to that; elsewhere it is the first value
        return [(ALONE if name in ("start_value", "value") else MAYBE, -0.5)]
    if kind == "list[Any]":
        return [(BAD, [[-1, 1]]), (BAD, [["-1ep", 1]]), (BAD, [[5, 1], [3, 1]]), (BAD, [[5, 1], [5, 1]])]
    least = (0,) if name in ("num_cycles", "timescale") else (0, 1) if name == "cycle_size" else ()
    if name == "param_group_index":
        return [(BAD, -3), (MAYBE, -1)]
    return [(BAD, value) for value in (-1, -(2**70), *least)] if kind in NUMBERS else []


def unicode_value(name, kind):
    if kind in FLOATS | {"int | None"}:
        return [
            (BAD, "½"),
            (BAD, "\u22121"),
            (BAD, "∞"),
            (MAYBE, "\uff11"),
            (MAYBE, "٣"),
        ]  # Python reads the digits of any script
    if kind in TIMES:
        return [(BAD, text) for text in ("٣ep", "\uff13ep", "3\u0435p", "∞%", "3\uff05", "½ep")]
    if name == "_target_":
        return [(BAD, "cosched.\uff23onstantScheduler"), (BAD, "\u202ecosched"), (BAD, "\x00"), (BAD, "🙂")]
    if kind in {"str", "str | None", "Event", "Mismatch"}:
        return [(BAD, text) for text in ("\uff4c\uff52", "lr\u200b", "🙂", "\u0435rror", "\x00", "\u202elr")]
    return []


def duration(name, kind):
    if kind == "list[Any]":
        return [(BAD, [[text, 0.5]]) for text in NO_TIMES]
    return [(BAD, text) for text in NO_TIMES] if kind in TIMES else []


def target(name, kind):
    return [(BAD, value) for value in NO_TARGETS] if name == "_target_" else []


def nesting(name, kind):
    if name == "_target_":
        return []
    # OmegaConf itself composes no depth of 200, and one of 50 slowly: those come as plain data.
    deeps = [(BAD, deep(200, make), PLAIN) for make in (lambda value: {"a": value}, lambda value: [value])]
    if kind not in CONTAINERS:
        return [*deeps, (BAD, nested(3, 0.5)), (BAD, nested(50, 0.5), PLAIN)]
    sound, unsound = [(nested(depth, value) for depth in (5, 50)) for value in (0.5, NAN)]
    if kind != "Any":
        sound, unsound = [({"a": one} for one in ones) for ones in (sound, unsound)]
    forms = (ANYWHERE, PLAIN)
    found = [(verdict, *one) for verdict, ones in ((MAYBE, sound), (BAD, unsound)) for one in zip(ones, forms)]  # noqa: B905
    return [*deeps, *found]


def event(name, kind):
    wrong = ["ITERATION", "STARTED", "exception_raised", "EPOCH", "iteration", "epoch-started", "", 0, -1, {}, ["x"]]
    sound = [(MAYBE, "EPOCH_STARTED"), (MAYBE, "epoch_started"), (MAYBE, "epoch_completed")]
    return [*sound, *((BAD, value) for value in wrong)] if kind == "Event" else []


def where(name, kind):
    wrong = {
        "param_name": [
            *("Ir", "lr[0]", "betas[0]", "params", "name", "maximize", "lr ", "momentum[1]", "lr]", "LR", "*"),
            *("engine.state.", "engine.state.nothing", "engine.state.iteration", "engine.state.__class__", "engine"),
        ],
        "param_group_index": [2, 7, -3, 10**30],
        "param_group": ["nothing*", "[", "BODY", "body ", ".*"],
    }
    sound = {
        "param_name": ["dampening", "weight_decay", "engine.state.temperature"],
        "param_group_index": [0, 1, -1],
        "param_group": ["bo*", "*", "?ody", "[bh]*"],
    }
    return [(BAD, value) for value in wrong.get(name, [])] + [(MAYBE, value) for value in sound.get(name, [])]


def policy(name, kind):
    wrong = ["Error", "nonsense", "", "error,config", " config", 7, -1, {}, ["error"], 2.5]
    return [(MAYBE, "checkpoint"), *((BAD, value) for value in wrong)] if kind == "Mismatch" else []


def set_to(values):
    """The damage that puts one of ``values`` into a field."""

    def damage(rng, node, taken):
        choices = {name: values(name, kind) for name, kind in node.types().items() if name not in taken}
        names = [name for name, found in choices.items() if found]
        if not names:
            return None
        # What the config says already matters more than what it leaves to a default.
        name = rng.choices(names, [3 if name in node.fields else 1 for name in names])[0]
        verdict, node.fields[name], *form = rng.choice(choices[name])
        return verdict, name, *(form or [ANYWHERE])

    return damage


def misspell(rng, node, taken):
    name = rng.choice([name for name in node.fields if name not in taken and name in node.declared] or [""])
    if not name:
        return None
    i = rng.randrange(1, len(name))
    wrong = rng.choice([name[:i] + name[i:].upper(), name[:i] + name[i - 1 :], name[:i] + name[i + 1 :], f" {name}"])
    if wrong in node.declared:
        return None
    node.fields = {wrong if key == name else key: value for key, value in node.fields.items()}
    return BAD, name, ANYWHERE


def unknown_key(rng, node, taken):
    key = rng.choice(["ключ", "\uff4c\uff52", "lr\u200b", "🙂", "", "start value", "__class__", "a" * 5000, 7])
    node.fields[key] = rng.choice([1, None, "🙂"])
    return BAD, key, ANYWHERE


def leave_out(rng, node, taken):
    names = [name for name in node.required() if name not in taken]
    if "_target_" not in taken and rng.random() < 0.3:
        node.without.add("_target_")
        return BAD, "_target_", PLAIN  # a typed node always has it
    if not names:
        return None
    name = rng.choice(names)
    if rng.random() < 0.5:
        node.fields[name] = "???"
    else:
        del node.fields[name]
    return BAD, name, ANYWHERE


DAMAGES = {
    "wrong type": set_to(wrong_type),
    "not finite": set_to(not_finite),
    "huge": set_to(huge),
    "negative": set_to(negative),
    "unicode value": set_to(unicode_value),
    "unknown key": unknown_key,
    "misspelt": misspell,
    "left out": leave_out,
    "nesting": set_to(nesting),
    "duration": set_to(duration),
    "target": set_to(target),
    "event": set_to(event),
    "where": set_to(where),
    "policy": set_to(policy),
}


@dataclasses.dataclass
class Damaged:
    """A config, what was done to it, and whether it has to be refused."""

    top: Node
    sound: dict  # the fields of the top before
    form: str
    kinds: list = dataclasses.field(default_factory=list)
    touched: list = dataclasses.field(default_factory=list)  # (node, field)
    bad: bool = False

    def config(self):
        if self.form == PLAIN:
            return plain(self.top)
        changed = {name: self.top.fields.get(name) for node, name in self.touched if node is self.top}
        simple = {n: v for n, v in changed.items() if n in self.top.declared and not isinstance(v, (Node, dict, list))}
        kept = {name for name in simple if name in self.top.fields}
        if self.form == "merge" or kept != changed.keys():
            return typed(self.top)
        # Like an override on the command line: the sound config is composed first.
        fields = {name: value for name, value in self.top.fields.items() if name not in kept}
        node = typed(Node(self.top.schema, **fields, **{n: self.sound[n] for n in kept & self.sound.keys()}))
        for name in kept:
            OmegaConf.update(node, name, self.top.fields[name], merge=True)
        return node


def damaged(rng, shape, first):
    """A sound config of ``shape`` with the damage ``first``, and perhaps another; None: that one has no place in it."""
    binding = {"param_name": rng.choice(["lr", "momentum", "weight_decay"]), "relative": rng.random() < 0.2}
    top = Node(CONFIGS.of(SHAPES[shape]), **fields_of(rng, shape), **(binding if rng.random() < 0.7 else {}))
    made = Damaged(top, dict(top.fields), rng.choice([PLAIN, "merge", "override"]))
    original, verdicts = list(walk(top)), []
    for kind in [first, *rng.choices(list(DAMAGES), k=rng.random() < 0.4)]:
        # The second one leaves alone what contains the first, or came with it, for it is not to undo it.
        nodes = [one for one in walk(top) if one in original]
        node = top if rng.random() < 0.5 else rng.choice(nodes)
        taken = {name for one, name in made.touched if one is node}
        if made.touched:
            taken |= {name for name, kind_ in node.types().items() if kind_ in CONTAINERS}
        done = DAMAGES[kind](rng, node, taken)
        if done is None and not made.touched:
            return None
        if done is not None:
            verdict, name, form = done
            made.form = form if form == PLAIN else made.form
            made.kinds.append(kind)
            made.touched.append((node, name))
            verdicts.append(MAYBE if verdict == ALONE and node is not top else verdict)
    made.bad = BAD in verdicts or verdicts == [ALONE]
    return made


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
        called = isinstance(error, TypeError) and any(
            word in str(error) for word in ("argument", "keywords", "abstract")
        )
        if error.__cause__ is None and not told and not called:
            return f"it comes of {error!r:.100} in {inside.name}"
        error = error.__cause__
    return None


def tried(case):
    """How a run with this config ends: where it was refused, or that it went well; and the error."""
    optimizer = torch.optim.SGD(
        [{"params": [torch.zeros(1)], "name": name} for name in ("body", "head")],
        lr=0.1,
        momentum=0.9,
        weight_decay=1e-4,
    )
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_damaged_config_is_refused_with_a_message_or_runs_soundly(shape, caplog):
    caplog.set_level(logging.CRITICAL + 1)  # ignite and Hydra log each error too
    rng = random.Random(f"damaged {shape}")
    outcomes, kinds, failures = Counter(), Counter(), []
    possible = [kind for kind in DAMAGES if any(damaged(rng, shape, kind) for _ in range(50))]
    while outcomes.total() < DAMAGED // len(SHAPES):
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
            failures.append((wrong, case.form, case.kinds, f"{plain(case.top)}"[:300], f"{error!r}"[:300]))
    assert failures == []
    assert outcomes.total() == DAMAGED // len(SHAPES)
    assert outcomes.keys() <= {"composed", "attached", "started", "accepted"}
    assert min(outcomes[outcome] for outcome in ("composed", "attached", "accepted")) > 0
    assert kinds.keys() >= set(possible)
    assert min(kinds[kind] for kind in possible) >= DAMAGED // len(SHAPES) // len(DAMAGES)
