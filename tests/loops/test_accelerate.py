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


def train(folder, rank, processes, accumulate=1, split=False, leave_at=None, cycle_mult=1.0, late=False, **options):
    """Save what each update has seen, and each warning; leave a state after some updates, or go on from the one left.

    With ``late`` the scheduler is given the optimizer that Accelerate has wrapped, and is not wrapped itself.
    """
    from accelerate import Accelerator, DataLoaderConfiguration
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for state in AcceleratorState, GradientState, PartialState:
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


def process(rank, folder, processes, port, options):
    """What each of several processes does."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    train(folder, rank, processes, **options)
    torch.distributed.destroy_process_group()


def trained(folder, processes, **options):
    """What the updates of each process saw, and what each warned of."""
    if processes == 1:
        train(folder, 0, 1, **options)
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torch.multiprocessing.spawn(process, (folder, processes, port, options), nprocs=processes)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


def pure(first=0, stop=UPDATES, steps=1):
    """What both groups hold; only the first is named so that its decay is driven."""
    return [[one, [*one[:2], 0.1]] for one in several(range(first * steps, stop * steps, steps), **LENGTHS)]


@pytest.mark.parametrize(
    ("processes", "options"),
    [
        (1, {}),
        (1, {"accumulate": 2}),
        (1, {"accumulate": 2, **BY_HAND}),
        (1, {"accumulate": 2, "late": True, **BY_HAND}),
        (2, BY_HAND),
        (2, {"accumulate": 2, **BY_HAND}),
        (2, {"split": True}),
        (2, {"accumulate": 2, "split": True}),
    ],
)
def test_an_update_is_a_step(tmp_path, processes, options):
    assert trained(tmp_path, processes, **options) == [[pure(), []]] * processes


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_for_each_process_is_warned_of(tmp_path, accumulate):
    for seen, told in trained(tmp_path, 2, accumulate=accumulate):
        assert seen == pure(steps=2), "the schedule goes at double speed"
        assert told == [
            "step() of the scheduler is called 2 times for each update of the optimizer, and the schedule is that much "
            "faster: call it once. Accelerate does so with step_scheduler_with_optimizer=False"
        ]


@pytest.mark.parametrize(("processes", "options"), [(1, {"accumulate": 2}), (2, BY_HAND)])
def test_what_is_saved_goes_on(tmp_path, processes, options):
    assert trained(tmp_path, processes, leave_at=7, **options) == [[pure(stop=7), []]] * processes
    assert trained(tmp_path, processes, **options) == [[pure(first=7), []]] * processes


def test_another_schedule_is_refused(tmp_path):
    trained(tmp_path, 1, leave_at=7)
    with pytest.raises(ConfigError, match=r"lr: .* phases.decay.cycle_mult is 1.0 there and 2.0 here"):
        trained(tmp_path, 1, cycle_mult=2.0)
