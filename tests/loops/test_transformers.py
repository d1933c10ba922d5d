"""Under transformers' Trainer: each update sees the schedule's values, checkpoints go on, and others are refused."""

import pytest
import torch
from helpers import SEVERAL, several
from omegaconf import OmegaConf

from cosched import ConfigError, TorchScheduler

pytestmark = pytest.mark.loops

LENGTHS = {"epoch_length": 4, "max_epochs": 6}
UPDATES = 24


def train(folder, node=None, resume=False, updates=UPDATES):
    """What each update has seen, and the rates logged; there is a checkpoint every 5 updates."""
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == updates

    sizes = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=4, max_position_embeddings=4))
    groups = [
        {"params": model.bert.parameters(), "name": "back"},
        {"params": model.classifier.parameters(), "name": "head"},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.3, weight_decay=0.1)
    scheduler = TorchScheduler(optimizer, OmegaConf.create(SEVERAL) if node is None else node, **LENGTHS)
    seen = []
    optimizer.register_step_pre_hook(
        lambda *_: seen.append([[g["lr"], g["betas"][0], g["weight_decay"]] for g in optimizer.param_groups])
    )
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=LENGTHS["max_epochs"],
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        save_steps=5,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    batch = {"input_ids": torch.ones(4, dtype=torch.long), "labels": torch.tensor(0)}
    trainer = Trainer(model, arguments, train_dataset=[batch] * 16, optimizers=(optimizer, scheduler), callbacks=[Kill])
    trainer.train(resume_from_checkpoint=resume)
    return seen, [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]


def pure(first=0, stop=UPDATES):
    """What both groups hold; only the first is named so that its decay is driven."""
    return [[one, [*one[:2], 0.1]] for one in several(range(first, stop), **LENGTHS)]


def test_an_update_is_a_step_and_its_rate_is_logged(tmp_path):
    seen, logged = train(tmp_path)
    assert seen == pure()
    assert logged == [groups[0][0] for groups in pure()]


def test_a_checkpoint_goes_on(tmp_path):
    assert train(tmp_path, updates=13)[0] == pure(stop=13)
    assert train(tmp_path, resume=True)[0] == pure(first=10)


def test_another_schedule_is_refused_unless_the_config_is_to_hold(tmp_path):
    train(tmp_path, updates=7)
    other = OmegaConf.create(SEVERAL)
    other.beta.cycle_mult = 2.0
    with pytest.raises(ConfigError, match=r"beta: .* cycle_mult is 1.0 there and 2.0 here"):
        train(tmp_path, other, resume=True)
    other.beta.on_mismatch = "config"
    seen, _ = train(tmp_path, other, resume=True)
    assert [groups[0][0] for groups in seen] == [groups[0][0] for groups in pure(first=5)]
    assert seen != pure(first=5), "the betas follow the other schedule"
