"""`semcomp demo --train`: train models on procedural street scenes and compare them, without a download."""

import argparse
import shlex
import shutil
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from semcomp_pl.checkpoints.bundle import exported_class
from semcomp_pl.checkpoints.models import SEGMENTATION
from semcomp_pl.cli.compare import as_yaml
from semcomp_pl.cli.compare import main as compare
from semcomp_pl.cli.train import main as training
from semcomp_pl.compare.config import LOAD, CodecEntry, sensible_references
from semcomp_pl.files.atomic import make_output
from semcomp_pl.files.places import released, resolve_config
from semcomp_pl.training.curves import draw_losses

_RD, _SEGMENTER, _JUDGE = "runs/rate_distortion", "runs/pspnet", "streets_linknet"
_CODEC = "--model.filters 48"
_GAN = (
    f"{_CODEC} --model.discriminator_filters 16 --model.init_from {_RD}/checkpoints/best.ckpt "
    "--model.learning_rate 3e-4 --trainer.max_epochs 4 --ema_decay 0.95"
)
STAGES = {
    "rate_distortion": ("RateDistortion", f"{_CODEC} --trainer.max_epochs 36 --ema_decay 0.99"),
    "pspnet": ("PSPNet", "--model.output_stride 16 --trainer.max_epochs 16 --ema_decay 0.98"),
    "plain_gan": ("PlainGAN", _GAN),
    "semantic_discriminator_gan": ("SemanticDiscriminatorGAN", _GAN),
    "conditional_gan": ("ConditionalGAN", _GAN),
    "semantic_distortion_gan": (
        "SemanticDistortionGAN",
        f"{_GAN} --model.segmenter {_SEGMENTER}/checkpoints/best.ckpt",
    ),
}
"""Run name -> title and flags: ordinary semcomp commands, at sizes for two cores."""

_DATA = ["--data.train_size", "[192,384]", "--data.crop_scale", "[0.67,1.0]"]
_LEFT_OUT = {"CoCliCo"}
"""Released models that need files from elsewhere."""


def main(args: list[str]) -> int:
    """Run the demo, reusing finished runs; returns the comparison's exit status.

    Raises:
        SemcompError: the output directory cannot be written.
    """
    parser = argparse.ArgumentParser("semcomp demo --train", description=__doc__)
    parser.add_argument(
        "--output", default="demo-train", help="directory for runs, pictures and report (default: demo-train)"
    )
    parser.add_argument("--scenes", type=int, default=160, help="training scenes (default: 160)")
    parser.add_argument("--images", type=int, default=12, help="scenes to compare the codecs on (default: 12)")
    parser.add_argument("--epochs", type=int, help="epochs of every training run, for a quick look")
    options = parser.parse_args(args)
    output = Path(options.output)
    make_output(output)
    console = Console()
    started = time.perf_counter()
    with chdir(output):
        trained = [_train(name, options.scenes, options.epochs, console) for name in STAGES]
        if any(trained):
            shutil.rmtree("comparison", ignore_errors=True)  # it compared other models
        runs = {title: Path("runs") / name / "metrics.csv" for name, (title, _) in STAGES.items()}
        draw_losses(runs, Path("losses.png"))
        status = _compare(options.scenes, options.images, console)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"Done in {minutes:.1f} min: {output}/losses.png and the runs in {output}/runs. The report is")
    console.print(str((output / "comparison" / "report.html").resolve()), soft_wrap=True, highlight=False)
    return status


def _train(name: str, scenes: int, epochs: int | None, console: Console) -> bool:
    """Fit one model with the code of `semcomp fit`, unless its run is complete; returns whether it was fitted."""
    title, flags = STAGES[name]
    run = Path("runs") / name
    if (run / "done").exists():
        console.print(f"[bold]{title}[/]: reusing {run}")
        return False
    shutil.rmtree(run, ignore_errors=True)  # of an interrupted demo
    configs = [f"configs/{c}.yaml" for c in ("trainer/cpu", "data/streets", f"model/{name}")]
    command = ["fit", *(part for config in configs for part in ("--config", config)), *_DATA, *flags.split()]
    if epochs is not None:
        command += ["--trainer.max_epochs", str(epochs)]
    command += ["--entropy_steps", str(200 if epochs is None else 2)]
    rhythm = str(min(4, epochs or 4))
    command += ["--data.source.train", str(scenes)]
    command += ["--trainer.check_val_every_n_epoch", rhythm, "--name", name]
    console.print(f"[bold]{title}[/]: semcomp {' '.join(command)}", highlight=False, soft_wrap=True)
    training([resolve_config(part) for part in command])
    (run / "done").touch()
    return True


def _compare(scenes: int, images: int, console: Console) -> int:
    """Compare the demo's models, the released ones and the reference codecs under the released judge."""
    codecs = [_own(name, title) for name, (title, _) in STAGES.items() if name != "pspnet"]
    exports = released()
    for path in exports.values():
        kind = exported_class(path)
        if kind not in {SEGMENTATION, *_LEFT_OUT}:
            codecs.append(CodecEntry(LOAD, {"model": str(path)}, f"{kind} (CamVid)"))
    codecs += sensible_references()
    judge, segmenter = exports.get(_JUDGE), exports.get("pspnet")
    if judge is None:
        console.print("No weights/ here, as in a clone: the comparison has neither a judge nor the released models.")
    settings: dict[str, Any] = {
        "output": "comparison",
        "codecs": [as_yaml(entry) for entry in codecs],
        "judge": judge and str(judge),
        "segmenter": segmenter and str(segmenter),  # of the released models
        "images": images,
        "timed_images": 0,  # timing starts one process per codec, which takes minutes
        "data": {"source": {"init_args": {"train": scenes}}, "num_workers": 0},
    }
    Path("comparison.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    command = ["--config", "configs/compare/streets.yaml", "--config", "comparison.yaml"]
    console.print(f"[bold]Comparison[/]: semcomp compare {shlex.join(command)}", highlight=False, soft_wrap=True)
    return compare(command)


def _own(name: str, title: str) -> CodecEntry:
    """The entry of one of the demo's models; a model that sends label maps gets the demo's own segmenter."""
    segmenter = {"segmenter": _SEGMENTER} if name == "conditional_gan" else {}
    return CodecEntry(LOAD, {"model": f"runs/{name}", **segmenter}, title)
