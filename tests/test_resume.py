"""Runs that are killed and resumed end like runs that were not, to the bit."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tests.forks import Forks
from tests.lab import ADVERSARIAL, CLASSES, DRAWN, HEIGHT, WIDTH, write_images
from tests.runs import differing, trained

pytestmark = pytest.mark.slow

KILLED = -9
DREW = [*(f"--model.{name}={value}" for name, value in DRAWN.items()), "--model.blocks=1", "--model.replay=2"]
DDP = ["--config", "configs/trainer/ddp.yaml", "--trainer.accelerator=cpu", "--trainer.devices=2"]


class Place:
    """Where runs of a tiny model are made, killed and compared; an epoch has four batches of two images."""

    def __init__(self, root: Path, forks: Forks) -> None:
        self.root, self.forks = root, forks
        (root / "data").mkdir()
        write_images(root / "data", {"train": 8, "val": 3})

    def fit(self, model: str, *flags: str) -> list[str]:
        """Arguments of a new run `x` of three epochs, with a checkpoint before each batch."""
        command = ["fit", "--config", "configs/trainer/cpu.yaml", "--config", f"configs/model/{model}.yaml"]
        command += ["--data.source=semcomp_pl.data.Folder", f"--data.source.root={self.root / 'data'}"]
        command += ["--data.source.masks=annot", f"--data.source.classes=[{','.join(CLASSES)}]"]
        command += [f"--data.size=[{HEIGHT},{WIDTH}]", "--data.crop_scale=[0.5,1]", "--data.colour_jitter=0.2"]
        command += ["--data.batch_size=2", "--data.eval_batch_size=2", "--data.num_workers=0"]
        command += [] if model == "pspnet" else ["--model.filters=4", "--model.blocks=0"]
        command += ["--model.discriminator_filters=4"] if model in ADVERSARIAL else []
        command += ["--model.encoder_weights=null", "--monitor=val/miou"] if model == "pspnet" else []
        command += ["--trainer.enable_progress_bar=false", "--entropy_steps=0", "--checkpoint_minutes=1e-9"]
        command += ["--trainer.callbacks=[tests.forks.Names,tests.forks.Kill]", "--name=x"]
        return [*command, *flags, "--trainer.max_epochs=3", "--trainer.log_every_n_steps=3"]

    def whole(self, args: Sequence[str], name: str, ranks: int = 1) -> Path:
        """The run of a command that nothing interrupts."""
        return self.part(args, name, "none", ranks)

    def part(self, args: Sequence[str], name: str, kill: str, ranks: int = 1) -> Path:
        """The run of a command that is killed, or comes to its end; it continues one of this name."""
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        ended = self.forks.run(directory, args, ranks=ranks, KILL=kill)
        assert ended.status == (0 if kill == "none" else KILLED), ended.said
        return directory / "runs" / "x"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    server = Forks()
    yield server
    server.close()


@pytest.fixture
def place(tmp_path: Path, forks: Forks) -> Place:
    return Place(tmp_path, forks)


def assert_same(one: Path, other: Path) -> None:
    """Two runs ended alike."""
    for name in ("last", "best"):
        assert differing(trained(one, name), trained(other, name)) == []
    files = [file for file in one.iterdir() if file.suffix in {".csv", ".png"}]
    assert files
    for file in files:
        assert file.read_bytes() == (other / file.name).read_bytes()


EPOCH_END, MID_EPOCH = ["on_train_epoch_start:2"], ["on_train_batch_end:6"]
TWICE = ["on_train_batch_end:7", "on_train_batch_end:1", "on_train_batch_start:2"]


@pytest.mark.parametrize(
    ("model", "flags", "ranks", "deaths"),
    [
        ("selective_gan", [], 1, [EPOCH_END, MID_EPOCH, TWICE, ["on_train_epoch_end:3"], ["on_validation_end:2"]]),
        ("plain_gan", ["--data.num_workers=2"], 1, [EPOCH_END, TWICE]),
        ("plain_gan", ["--data.resident=true"], 1, [EPOCH_END, TWICE]),
        ("selective_gan", [*DDP, "--data.batch_size=1", "--model.rate_weight=0.5"], 2, [EPOCH_END, TWICE]),
        ("layered_codec", ["--data.batch_size=1", "--model.accumulate=3"], 1, [EPOCH_END, TWICE]),
        ("coclico", [*DREW, *DDP, "--data.batch_size=1"], 2, [TWICE]),
        ("pspnet", [], 1, [EPOCH_END, MID_EPOCH]),
        ("rate_distortion", ["--trainer.check_val_every_n_epoch=2"], 1, [["on_validation_end:2"], MID_EPOCH]),
        ("rate_distortion", ["--trainer.check_val_every_n_epoch=50"], 1, [["on_train_batch_end:10"]]),
        ("rate_distortion", ["--trainer.val_check_interval=0.5"], 1, [["on_validation_end:3"], TWICE]),
        ("rate_distortion", ["--trainer.max_steps=10"], 1, [["on_train_batch_end:10"], ["on_train_epoch_end:3"]]),
    ],
    ids=["draws", "workers", "resident", "ranks", "windows", "replay", "pspnet", "rhythm", "rare", "often", "budget"],
)
def test_a_run_that_was_killed_ends_like_one_that_was_not(
    model: str, flags: list[str], ranks: int, deaths: list[list[str]], place: Place
) -> None:
    args = place.fit(model, *flags)
    whole = place.whole(args, "whole", ranks)
    for number, kills in enumerate(deaths):
        name, command = f"killed-{number}", args
        for kill in kills:
            run = place.part(command, name, kill, ranks)
            command = ["fit", "runs/x"]
        assert_same(whole, place.part(command, name, "none", ranks))
        assert run.is_dir()


@pytest.mark.parametrize(
    ("limit", "no_limit"), [("max_steps=6", "max_steps=-1"), ("max_time=00:00:00:01", "max_time=null")]
)
def test_a_run_that_ended_within_an_epoch_goes_on_there(limit: str, no_limit: str, place: Place) -> None:
    args = place.fit("rate_distortion", "--model.schedule=constant")
    run = place.part([*args, f"--trainer.{limit}", "--trainer.max_epochs=1000"], "ended", "none")
    epochs = json.loads((run / "training.json").read_text())["steps"] // 4 + 1
    place.part(["fit", "runs/x", f"--trainer.{no_limit}", f"--trainer.max_epochs={epochs}"], "ended", "none")
    whole = place.whole([*args, f"--trainer.max_epochs={epochs}"], "whole")
    ends = trained(run), trained(whole)
    for part in ("history_rows", "loops"):  # they count the validation in between
        assert all(end.pop(part) for end in ends)
    assert differing(*ends) == []
    seen = Counter(names(place.root / "ended", 0))
    assert seen == Counter((str(epoch), str(image)) for epoch in range(epochs) for image in range(8))


def test_a_window_cut_short_and_the_rest_of_it_are_each_averaged(place: Place) -> None:
    """A step after two of four accumulated batches, and a step after the other two, are two steps of two batches."""
    args = [*place.fit("rate_distortion", "--model.schedule=constant"), "--data.batch_size=1"]
    run = place.part([*args, "--model.accumulate=4", "--trainer.max_steps=2"], "cut", "none")
    place.part(["fit", "runs/x", "--trainer.max_steps=4"], "cut", "none")
    whole = place.whole([*args, "--model.accumulate=2", "--trainer.max_steps=4"], "whole")
    for part in ("current_model_state", "optimizer_states"):
        assert differing(trained(run)[part], trained(whole)[part]) == []


def test_ranks_share_a_clock(place: Place) -> None:
    args = [*place.fit("rate_distortion"), *DDP, "--data.batch_size=1", "--trainer.log_every_n_steps=2"]
    limits = ["--trainer.max_time=00:00:00:01", "--trainer.max_epochs=1000", "--trainer.callbacks=[tests.forks.Rates]"]
    run = place.part([*args, *limits], "x", "none", 2)
    rates = [(place.root / "x" / f"rates-{rank}").read_text() for rank in range(2)]
    assert rates[0] == rates[1]
    assert float(rates[0].splitlines()[-1]) == 0
    facts = json.loads((run / "training.json").read_text())
    assert (facts["processes"], facts["batch"], facts["images"]) == (2, 2, 2 * facts["steps"])
    assert facts["steps"] == len(rates[0].splitlines())
    assert facts["finished"]


def test_a_resumed_run_needs_neither_its_seed_nor_its_warm_start_again(place: Place) -> None:
    source = place.whole([*place.fit("rate_distortion"), "--trainer.max_epochs=1"], "source")
    warm = source / "checkpoints" / "best.ckpt"
    args = place.fit("selective_gan", f"--model.init_from={warm}", "--seed_everything=3")
    whole = place.whole(args, "whole")
    place.part(args, "killed", "on_train_batch_end:6")
    warm.unlink()
    assert_same(whole, place.part(["fit", "runs/x", "--seed_everything=4"], "killed", "none"))


def test_processes_may_come_and_go_within_an_epoch(place: Place) -> None:
    """Two processes, then one, then two: every image once an epoch, and nearly the weights of one process."""
    args = [*place.fit("rate_distortion"), "--trainer.precision=32-true"]  # as sums of two halves are rounded otherwise
    alone = place.whole(args, "alone")
    both = ["--trainer.devices=2", "--data.batch_size=1"]
    often = "--trainer.log_every_n_steps=1"  # which is when processes agree on a checkpoint
    place.part([*args, *DDP, "--data.batch_size=1", often], "some", "on_train_batch_end:2", 2)
    forget_last(place.root / "some", 2)  # no checkpoint holds what happened in this batch
    place.part(["fit", "runs/x", "--trainer.devices=1", "--data.batch_size=2"], "some", "on_train_batch_end:2")
    forget_last(place.root / "some", 1)
    run = place.part(["fit", "runs/x", *both], "some", "none", 2)
    seen = Counter(pair for rank in range(2) for pair in names(place.root / "some", rank))
    assert seen == Counter((epoch, str(image)) for epoch in "012" for image in range(8))
    for key, value in trained(alone)["current_model_state"].items():
        torch.testing.assert_close(trained(run)["current_model_state"][key], value, rtol=1e-3, atol=2e-4)


def forget_last(directory: Path, ranks: int) -> None:
    for rank in range(ranks):
        file = directory / f"names-{rank}"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def names(directory: Path, rank: int) -> list[tuple[str, str]]:
    """Epoch and image of what a process trained on."""
    lines = [line.split() for line in (directory / f"names-{rank}").read_text().splitlines()]
    return [(epoch, name) for epoch, *images in lines for name in images]


def test_a_run_killed_at_any_moment_has_a_checkpoint_to_go_on_from(place: Place) -> None:
    args = [*place.fit("rate_distortion"), "--trainer.max_epochs=25"]
    whole = place.whole(args, "whole")
    moments, command, kills = random.Random(0), args, 0
    last = place.root / "killed" / "runs" / "x" / "checkpoints" / "last.ckpt"
    while kills < 20:
        (place.root / "killed").mkdir(exist_ok=True)
        ended = place.forks.run(place.root / "killed", command, KILL=f"seconds:{moments.uniform(0, 0.4)}")
        kills += ended.status == KILLED
        assert ended.status in {0, KILLED}, ended.said
        if ended.status == 0:  # all is done before the moment came: once more from the start
            assert_same(whole, place.root / "killed" / "runs" / "x")
            shutil.rmtree(place.root / "killed")
            command = args
        elif last.is_file():
            torch.load(last, weights_only=True)
            command = ["fit", "runs/x"]
        else:
            shutil.rmtree(place.root / "killed")
            command = args
    (place.root / "killed").mkdir(exist_ok=True)
    assert_same(whole, place.part(command, "killed", "none"))
    assert {file.name for file in last.parent.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(place: Place) -> None:
    args = place.fit("rate_distortion")
    whole = place.whole(args, "whole")
    run = place.part(args, "full", "on_train_batch_end:6")
    kept = {file: file.read_bytes() for file in (run / "checkpoints").iterdir()}
    ended = place.forks.run(place.root / "full", ["fit", "runs/x"], LONGEST_FILE="50000")
    assert ended.status == 2
    assert "Traceback" not in ended.said
    *_, message = ended.said.splitlines()
    assert message.startswith("error: training stopped: ")
    assert "last.ckpt: cannot write it (File too large)" in message
    assert "make room and resume: the checkpoint of before is unchanged" in message
    assert {file: file.read_bytes() for file in (run / "checkpoints").iterdir()} == kept
    assert_same(whole, place.part(["fit", "runs/x"], "full", "none"))


def test_a_run_killed_before_its_tables_were_fitted_is_not_finished(place: Place) -> None:
    args = [*place.fit("rate_distortion"), "--trainer.max_epochs=1", "--entropy_steps=2"]
    whole = place.whole(args, "whole")
    run = place.part([*args, "--entropy_steps=0"], "killed", "none")  # as if killed in between
    assert not trained(run, "best")["state_dict"]["codec.entropy.fitted"]
    place.part(["fit", "runs/x", "--entropy_steps=2"], "killed", "none")
    assert differing(trained(whole, "best"), trained(run, "best")) == []
    again = place.forks.run(place.root / "killed", ["fit", "runs/x"])
    assert again.status == 2
    assert "finished, 1 epochs done with max_epochs=1" in again.said
