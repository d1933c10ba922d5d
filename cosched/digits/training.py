"""The main job: train a small network on the 1,797 handwritten digits that scikit-learn ships, all by config."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.engine.deterministic import ReproducibleBatchSampler
from ignite.handlers import EMAHandler
from ignite.metrics import Accuracy, Loss
from ignite.utils import manual_seed
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data.distributed import DistributedSampler

from cosched import BoundScheduler, ConfigError, Run, TorchScheduler, attach, draw_applied
from cosched.digits import loop
from cosched.digits.checkpoints import find, identity, save_checkpoints
from cosched.digits.folder import HISTORY, alone_in, begin, checkpoints, keep, refuse_used, say, tell
from cosched.digits.history import History
from cosched.digits.parts import built, by_name, device_of, param_groups, refuse
from cosched.digits.settings import Loop
from cosched.digits.stopping import Stop, Stopped, listening
from cosched.digits.typed import command_to_continue, title
from cosched.digits.watching import done, introduced, keep_log, progress, track

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> float:
    """Train as ``cfg`` says, write the results into ``folder`` and return the validation accuracy."""
    first = idist.get_rank() == 0
    try:
        with alone_in(folder) if first else nullcontext():
            metrics = _train(cfg, folder)
    except KeyboardInterrupt as stop:
        saved = checkpoints(folder)
        if first and saved:
            text = f"{stop or 'interrupted'}, the last checkpoint is of iteration {saved[0][0]}: continue with\n"
            text += f"  {command_to_continue(folder)}"
            tell(text, sys.stderr)
            log.info(text)
        raise
    except ConfigError as error:
        log.info("ended by an error: %s", error)  # which nobody reads where the run has been refused
        raise
    except Exception as error:
        log.info("ended by an error: %s", error, exc_info=True)
        if first:
            keep(folder)
        raise
    return float(metrics["val_accuracy"])


def _train(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    # What may be refused is refused before anything is written.
    refuse(cfg)
    earlier = None if cfg.resume_from is None else find(Path(str(cfg.resume_from)), cfg.resume_at)
    if earlier is None or not earlier.is_in(folder):
        refuse_used(folder)

    manual_seed(cfg.trainer.seed)
    device = device_of(cfg)
    train_set, val_set = built(cfg, "data")
    ranks, rank = idist.get_world_size(), idist.get_rank()
    sampler: DistributedSampler[Any] = DistributedSampler(train_set, ranks, rank, seed=cfg.trainer.seed)
    batches = ReproducibleBatchSampler(BatchSampler(sampler, cfg.trainer.batch_size // ranks, drop_last=False))
    train_loader = DataLoader(train_set, batch_sampler=batches)
    val_loader = DataLoader(val_set, 1024)
    run = Run(epoch_length=len(train_loader), max_epochs=cfg.trainer.max_epochs)
    end = cfg.trainer.max_epochs * len(train_loader)
    model = built(cfg, "model").to(device)
    optimizer = built(cfg, "optimizer", param_groups(model, cfg))

    parallel = idist.auto_model(model) if ranks > 1 else model
    trainer = create_supervised_trainer(parallel, optimizer, nn.functional.cross_entropy, device)
    state = {"trainer": trainer, "model": model, "optimizer": optimizer}
    evaluated = model
    if cfg.trainer.ema_momentum is not None:
        average = EMAHandler(model, cfg.trainer.ema_momentum)
        average.attach(trainer)
        evaluated = state["average"] = average.ema_model
    plain = None
    if cfg.loop is Loop.torch:
        plain = TorchScheduler(optimizer, cfg.scheduler, epoch_length=run.epoch_length, max_epochs=run.max_epochs)
    schedulers: dict[str, Any] = by_name(plain.parts if plain else attach(trainer, cfg.scheduler, optimizer))
    state |= {f"scheduler {name}": scheduler for name, scheduler in schedulers.items()}
    evaluator = create_supervised_evaluator(
        evaluated, {"val_accuracy": Accuracy(), "val_loss": Loss(nn.functional.cross_entropy)}, device
    )

    @trainer.on(Events.EPOCH_STARTED)
    def seed(trainer: Engine) -> None:
        # Anew in each epoch, so that one does not depend on whether those before it ran in this process.
        manual_seed(cfg.trainer.seed + trainer.state.epoch)
        sampler.set_epoch(trainer.state.epoch)

    @trainer.on(Events.ITERATION_COMPLETED(every=len(train_loader)))  # before the row, which has the result
    def evaluate(trainer: Engine) -> None:
        trainer.state.metrics = evaluator.run(val_loader).metrics

    if earlier is not None:
        earlier.load(state, schedulers, len(train_loader))
        batches.start_iteration = trainer.state.iteration % len(train_loader)
    iterations = max(end, trainer.state.iteration)
    length = {name: getattr(run, name) for name in ("epoch_length", "max_epochs")} | {"iterations": iterations}
    known = identity(earlier, folder)
    trainer.state.run = known["run"]  # type: ignore[attr-defined]
    trainer.state_dict_user_keys.append("run")  # into the checkpoints
    history = History(schedulers, earlier.rows if earlier is not None else [])
    trainer.add_event_handler(Events.ITERATION_COMPLETED, history)
    kept = cfg.trainer.checkpoint_every, cfg.keep_checkpoints
    save_checkpoints(trainer, state, folder, run, *kept, cfg.snapshots)  # after the row
    stop = Stop(trainer)
    if rank == 0:
        keep_log(trainer, history)

    with ExitStack() as files:

        @trainer.on(Events.STARTED)  # after the handlers of `attach`, which may still refuse a schedule
        def begin_to_write(trainer: Engine) -> None:
            if rank == 0:
                at = trainer.state.iteration
                log.info("%s", introduced(cfg, known["run"], run, schedulers, device))
                if earlier is not None:
                    say(f"resumed from {earlier.file}: iteration {at}, epoch {math.ceil(at / len(train_loader))}")
                    if at >= end:
                        asked = f"trainer.max_epochs={cfg.trainer.max_epochs} asks for no more"
                        say(f"it has done {done(at, len(train_loader))}, and {asked}: only evaluating")
                states = {name: one.state_dict() for name, one in schedulers.items() if isinstance(one, BoundScheduler)}
                begin(folder, {**known, **length, "schedulers": states}, at)
                files.enter_context(history.kept_in(folder / HISTORY))
                if cfg.logger is not None:
                    files.enter_context(track(trainer, history, cfg.logger, folder, known["run"], cfg))
                if cfg.trainer.progress_bar and at < end:
                    files.enter_context(progress(trainer, history, run))

        idist.barrier()  # every rank has read the files of the run that is continued: one may now write its own
        started = time.perf_counter()
        if trainer.state.iteration < end:
            with listening(stop.hear):
                if plain:
                    loop.run(trainer, parallel, optimizer, plain, train_loader, cfg.trainer.max_epochs, device)
                else:
                    trainer.run(train_loader, cfg.trainer.max_epochs)
            if stop.number:
                raise Stopped(stop.number)
        else:
            begin_to_write(trainer)
            evaluate(trainer)
    metrics: dict[str, Any] = {
        **trainer.state.metrics,
        "epochs": trainer.state.epoch,
        "iterations": trainer.state.iteration,
        "train_loss": trainer.state.output,
        "seconds": round(time.perf_counter() - started, 3),
        "device": str(device),
    }
    if rank == 0:
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        last = trainer.state.iteration, len(train_loader)
        curves = history.declared(*last)
        if curves:
            restarts, before = history.restarts(*last), history.before(*last)
            draw_applied(folder / "applied.png", curves, history.applied, *last, restarts, title(folder), before)
        accuracy, after = metrics["val_accuracy"], done(*last)
        say(f"validation accuracy {accuracy:.4f} after {after} in {metrics['seconds']:.1f} s")
    return metrics
