"""Two gloo processes on the CPU: one model between them, and the figures of one process."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from lightning import Trainer

from tests.lab import ADVERSARIAL, CLASSES, HEIGHT, WIDTH, Lab, write_images
from tests.processes import environment

pytestmark = pytest.mark.slow

WITNESS = '''
import hashlib
from pathlib import Path
from lightning import Callback

class Witness(Callback):
    """Writes, for its rank, the names of its validation images and a hash of all weights after the last step."""

    def __init__(self):
        self.names = []

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        self.names += batch["name"]

    def on_train_epoch_end(self, trainer, pl_module):
        self.write("raw", trainer.global_rank, pl_module)

    def on_train_end(self, trainer, pl_module):
        self.write("averaged", trainer.global_rank, pl_module)
        Path(f"names-{trainer.global_rank}").write_text(" ".join(self.names))

    def write(self, kind, rank, module):
        digest = hashlib.sha256()
        for value in module.state_dict().values():
            digest.update(value.contiguous().numpy().tobytes())
        Path(f"{kind}-{rank}").write_text(digest.hexdigest())
'''


def fit(directory: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """`semcomp fit` on two processes, in a directory of its own that holds `data`."""
    (directory / "witness.py").write_text(WITNESS)
    command = [sys.executable, "-m", "semcomp_pl", "fit"]
    command += ["--config", "configs/trainer/ddp.yaml", "--config", f"configs/model/{name}.yaml"]
    command += ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.max_epochs=1", "--entropy_steps=2"]
    command += ["--trainer.num_sanity_val_steps=0", "--trainer.enable_progress_bar=false"]
    command += ["--trainer.callbacks=witness.Witness", "--name=run"]
    command += ["--data.source=semcomp_pl.data.Folder", "--data.source.root=data", "--data.source.masks=annot"]
    command += [f"--data.source.classes=[{','.join(CLASSES)}]", f"--data.size=[{HEIGHT},{WIDTH}]"]
    command += ["--data.batch_size=2", "--data.eval_batch_size=2", "--data.num_workers=0"]
    command += ["--model.filters=8", "--model.blocks=1", "--model.discriminator_filters=4", *flags]
    own = environment(PYTHONPATH=str(directory))
    return subprocess.run(command, cwd=directory, env=own, capture_output=True, text=True, check=False)


def logged(run: Path) -> dict[str, float]:
    """The figures of the last validation."""
    with (run / "metrics.csv").open(newline="") as lines:
        rows = [{k: float(v) for k, v in row.items() if k.startswith("val/") and v} for row in csv.DictReader(lines)]
    return [row for row in rows if row][-1]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_two_processes_train_one_model_and_count_every_image_once(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write_images(root, {"train": 8, "val": 7})
    lab, flags = Lab(root), []
    if name == "semantic_distortion_gan":
        segmenter = lab.checkpoint(lab.model("pspnet"), tmp_path / "segmenter.ckpt")
        flags = [f"--model.segmenter={segmenter}"]
    done = fit(tmp_path, name, *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    for kind in ("raw", "averaged"):
        hashes = [(tmp_path / f"{kind}-{rank}").read_text() for rank in range(2)]
        assert hashes[0] == hashes[1]
    names = [(tmp_path / f"names-{rank}").read_text().split() for rank in range(2)]
    assert sorted(names[0] + names[1]) == [str(i) for i in range(7)]
    assert abs(len(names[0]) - len(names[1])) == 1
    two = logged(tmp_path / "runs" / "run")
    last = tmp_path / "runs" / "run" / "checkpoints" / "last.ckpt"
    model = type(lab.model(name)).load_from_checkpoint(last, weights_only=True)
    trainer: Trainer = lab.trainer()
    (one,) = trainer.validate(model, lab.data(), verbose=False)
    assert {"val/psnr", "val/bpp_bound"} < two.keys()
    assert two == pytest.approx(dict(one), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "found"), [((8, 1), "1 val images for 2 processes"), ((3, 7), "3 training images found")]
)
def test_fewer_images_than_processes_need_are_refused(counts: tuple[int, int], found: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_images(tmp_path / "data", {"train": counts[0], "val": counts[1]})
    done = fit(tmp_path, "plain_gan")
    assert done.returncode == 2
    assert f"error: data: {found}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "averaged-0").exists()
