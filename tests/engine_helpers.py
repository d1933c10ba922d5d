"""What the tests of attached schedulers share: an engine that lists the rates which it sees."""

from ignite.engine import Engine

from cosched import CosineAnnealing, CosineAnnealingScheduler

FIELDS = {"start_value": 1.0, "end_value": 0.1, "cycle_size": 4, "cycle_mult": 2}
CURVE = CosineAnnealing(**FIELDS)


def rate(optimizer, group=0):
    return optimizer.param_groups[group]["lr"]


def attached(optimizer, event=None, name=None, **fields):
    """An engine that lists the learning rates it sees, and a scheduler attached to it."""
    engine = Engine(lambda *_: engine.seen.append(rate(optimizer)))
    engine.seen = []
    scheduler = CosineAnnealingScheduler(optimizer, "lr", **{**FIELDS, **fields})
    scheduler.attach(engine, event, name)
    return engine, scheduler


class Unknown:
    """Data of a length that nobody knows beforehand."""

    def __iter__(self):
        return iter(range(9))
