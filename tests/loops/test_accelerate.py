"""Under Accelerate: which settings make one update one step, the warning where they do not, save and load."""

import json
import os
import socket
import warnings

import pytest
import torch
from helpers import SEVERAL, several
from omegaconf import OmegaConf

from cosched import ConfigError, TorchScheduler

pytestmark = pytest.mark.loops

LENGTHS = {"epoch_length": 4, "max_epochs": 6}
UPDATES = 24
BY_HAND = {"step_scheduler_with_optimizer": False}
ON_TWO = {
    "by hand": BY_HAND,
    "by hand, accumulated": {"accumulate": 2, **BY_HAND},
    "split": {"split": True},
    "split, accumulated": {"accumulate": 2, "split": True},
    "as it comes": {},
    "as it comes, accumulated": {"accumulate": 2},
    "leave": BY_HAND,
}


def train(folder, rank, processes, accumulate=1, split=False, leave_at=None, cycle_mult=1.0, late=False, **options):
    """Save what each update has seen, and each warning; leave a state after some updates, or go on from the one left.

    With ``late`` the scheduler is given the optimizer that Accelerate has wrapped, and is not wrapped itself.
    """
    from accelerate import Accelerator, DataLoaderConfiguration
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for state in AcceleratorState, GradientState, *([PartialState] if processes == 1 else []):
        state._reset_state()
    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(split_batches=split),
        **options,
    )
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    groups = [{"params": model[0].parameters(), "name": "back"}, {"params": model[1].parameters(), "name": "head"}]
    driven = torch.optim.AdamW(groups, lr=0.3, weight_decay=0.1)
    seen = []
    driven.register_step_pre_hook(
        lambda *_: seen.append([[g["lr"], g["betas"][0], g["weight_decay"]] for g in driven.param_groups])
    )
    data = torch.utils.data.DataLoader(
        torch.ones(2 * UPDATES * accumulate * (1 if split else processes), 2), batch_size=2
    )
    node = OmegaConf.create(SEVERAL)
    node.lr.phases.decay.cycle_mult = cycle_mult
    if late:
        model, optimizer, data = accelerator.prepare(model, driven, data)
        scheduler = TorchScheduler(optimizer, node, **LENGTHS)
    else:
        scheduler = TorchScheduler(driven, node, **LENGTHS)
        model, optimizer, data, scheduler = accelerator.prepare(model, driven, data, scheduler)
    done = 0
    if leave_at is None and (folder / "state").exists():
        accelerator.load_state(folder / "state")
        done = scheduler.scheduler.last_epoch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for batch in data:
            with accelerator.accumulate(model):
                accelerator.backward(model(batch).sum())
                optimizer.step()
                if accelerator.step_scheduler_with_optimizer or accelerator.sync_gradients:
                    scheduler.step()
                optimizer.zero_grad()
            if done + len(seen) in (leave_at, UPDATES) and accelerator.sync_gradients:
                break
    if leave_at is not None:
        accelerator.save_state(folder / "state")
    told = [str(one.message) for one in caught if "step() of the scheduler" in str(one.message)]
    (folder / f"{rank}.json").write_text(json.dumps([seen, told]))


def process(rank, folder, port):
    """What each of two processes does: all of the trainings below, each in a folder of its own."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, options in ON_TWO.items():
        (folder / name).mkdir(exist_ok=True)
        if name == "leave":
            train(folder / name, rank, 2, leave_at=7, **options)
            (folder / name / f"{rank}.json").rename(folder / name / f"{rank} left.json")
        train(folder / name, rank, 2, **options)
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    """The folder that the trainings of two processes have filled."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(process, (folder, port), nprocs=2)
    return folder


def read(*files):
    """What the updates in each of some trainings saw, and what was warned of."""
    return [json.loads(file.read_text()) for file in files]


def pure(first=0, stop=UPDATES, steps=1):
    """What both groups hold; only the first is named so that its decay is driven."""
    return [[one, [*one[:2], 0.1]] for one in several(range(first * steps, stop * steps, steps), **LENGTHS)]


@pytest.mark.parametrize(
    "options", [{}, {"accumulate": 2}, {"accumulate": 2, **BY_HAND}, {"accumulate": 2, "late": True, **BY_HAND}]
)
def test_an_update_is_a_step(tmp_path, options):
    train(tmp_path, 0, 1, **options)
    assert read(tmp_path / "0.json") == [[pure(), []]]


@pytest.mark.parametrize("name", ["by hand", "by hand, accumulated", "split", "split, accumulated"])
def test_an_update_of_two_processes_is_a_step(on_two, name):
    assert read(on_two / name / "0.json", on_two / name / "1.json") == [[pure(), []]] * 2


@pytest.mark.parametrize("name", ["as it comes", "as it comes, accumulated"])
def test_a_step_for_each_process_is_warned_of(on_two, name):
    for seen, told in read(on_two / name / "0.json", on_two / name / "1.json"):
        assert seen == pure(steps=2), "the schedule goes at double speed"
        assert told == [
            "step() of the scheduler is called 2 times for each update of the optimizer, and the schedule is that much "
            "faster: call it once. Accelerate does so with step_scheduler_with_optimizer=False"
        ]


def test_what_is_saved_goes_on(tmp_path):
    train(tmp_path, 0, 1, accumulate=2, leave_at=7)
    assert read(tmp_path / "0.json") == [[pure(stop=7), []]]
    train(tmp_path, 0, 1, accumulate=2)
    assert read(tmp_path / "0.json") == [[pure(first=7), []]]


def test_what_two_processes_save_goes_on(on_two):
    assert read(*(on_two / "leave" / f"{rank} left.json" for rank in range(2))) == [[pure(stop=7), []]] * 2
    assert read(*(on_two / "leave" / f"{rank}.json" for rank in range(2))) == [[pure(first=7), []]] * 2


@pytest.mark.filterwarnings("ignore:.*cycle_mult=2.0 has no effect")
def test_another_schedule_is_refused(tmp_path):
    train(tmp_path, 0, 1, leave_at=7)
    with pytest.raises(ConfigError, match=r"lr: .* phases.decay.cycle_mult is 1.0 there and 2.0 here"):
        train(tmp_path, 0, 1, cycle_mult=2.0)
