from cosched.binding.target import Group as Group
from cosched.config.build import Allowed as Allowed
from cosched.config.build import build as build
from cosched.config.hints import hints as hints
from cosched.config.schemas import ConfigError as ConfigError
from cosched.config.schemas import Mismatch as Mismatch
from cosched.loops.declared import leaves as leaves
from cosched.loops.ignite.attaching import EngineState as EngineState
from cosched.loops.ignite.attaching import attach as attach
from cosched.loops.ignite.attaching import detach as detach
from cosched.loops.ignite.follower import CycleEvents as CycleEvents
from cosched.loops.ignite.scheduler import BoundScheduler as BoundScheduler
from cosched.loops.ignite.shapes import ConstantScheduler as ConstantScheduler
from cosched.loops.ignite.shapes import CosineAnnealingScheduler as CosineAnnealingScheduler
from cosched.loops.ignite.shapes import ExponentialAnnealingScheduler as ExponentialAnnealingScheduler
from cosched.loops.ignite.shapes import InverseSqrtScheduler as InverseSqrtScheduler
from cosched.loops.ignite.shapes import LinearCyclicalScheduler as LinearCyclicalScheduler
from cosched.loops.ignite.shapes import PhasesScheduler as PhasesScheduler
from cosched.loops.ignite.shapes import PiecewiseLinearScheduler as PiecewiseLinearScheduler
from cosched.loops.ignite.shapes import PolynomialAnnealingScheduler as PolynomialAnnealingScheduler
from cosched.loops.ignite.shapes import ProductScheduler as ProductScheduler
from cosched.loops.ignite.shapes import RegisteredScheduler as RegisteredScheduler
from cosched.loops.ignite.shapes import ScaledScheduler as ScaledScheduler
from cosched.loops.ignite.shapes import SqrtAnnealingScheduler as SqrtAnnealingScheduler
from cosched.loops.ignite.shapes import StagesScheduler as StagesScheduler
from cosched.loops.lightning import ScheduleCallback as ScheduleCallback
from cosched.loops.torch import TorchScheduler as TorchScheduler
from cosched.schedules.annealing import CosineAnnealing as CosineAnnealing
from cosched.schedules.annealing import ExponentialAnnealing as ExponentialAnnealing
from cosched.schedules.annealing import LinearCyclical as LinearCyclical
from cosched.schedules.annealing import PolynomialAnnealing as PolynomialAnnealing
from cosched.schedules.annealing import SqrtAnnealing as SqrtAnnealing
from cosched.schedules.combined import Product as Product
from cosched.schedules.combined import Scaled as Scaled
from cosched.schedules.cyclical import CyclicalSchedule as CyclicalSchedule
from cosched.schedules.durations import Duration as Duration
from cosched.schedules.durations import Event as Event
from cosched.schedules.durations import Run as Run
from cosched.schedules.phases import Phase as Phase
from cosched.schedules.phases import Phases as Phases
from cosched.schedules.phases import lasting as lasting
from cosched.schedules.registry import register as register
from cosched.schedules.schedule import Schedule as Schedule
from cosched.schedules.shapes import Constant as Constant
from cosched.schedules.shapes import InverseSqrt as InverseSqrt
from cosched.schedules.shapes import PiecewiseLinear as PiecewiseLinear
from cosched.schedules.stages import Stages as Stages
from cosched.sweeps.pictures import draw_applied as draw_applied

__version__: str
__all__: list[str]

def require(what: str, extra: str, *modules: str) -> None: ...
