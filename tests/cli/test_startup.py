"""What each command loads: coding needs neither the training stack nor, before any work, torch."""

import pydoc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import semcomp_pl
from semcomp_pl.files.places import released
from tests.cli.common import CONDITIONAL, FILES, GAN, PLAIN, data_flags, picture
from tests.lab import write_images
from tests.processes import environment

TRAINING = {
    "lightning",
    "pytorch_lightning",
    "torchmetrics",
    "torchvision",
    "segmentation_models_pytorch",
    "timm",
    "wandb",
    "jsonargparse",
    "matplotlib",
    "semcomp_pl.data",
    "semcomp_pl.compare",
    "semcomp_pl.losses",
    "semcomp_pl.metrics",
    "semcomp_pl.modules",
    "semcomp_pl.training",
}
"""What only those wait for who train, compare, or make label maps."""
HEAVY = TRAINING | {"torch", "numpy", "numba"}
SPARED = {
    "wandb",
    "timm",
    "segmentation_models_pytorch",
    "numba",
    "polars",
    "pyiqa",
    "bjontegaard",
    "semcomp_pl.compare",
}
"""What a codec without a segmenter is trained without."""
ABSENT = {"polars", "wandb", "matplotlib", "mpl_toolkits", "pyiqa", "transformers", "scipy", "jinja2", "torch_fidelity"}
"""What machines that only train and code need not have."""
COMMANDS = "from semcomp_pl.cli import main\nassert main({!r}) == 0"


def loaded(code: str, directory: Path, watched: set[str]) -> set[str]:
    """Which of the watched modules a fresh process has after running some code in a directory."""
    code += f"\nimport sys\nprint(sorted({watched!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(eval(done.stdout.splitlines()[-1]))


def test_the_watched_names_are_real(tmp_path: Path) -> None:
    """What nobody can import would never be found."""
    names = (HEAVY | SPARED) - {"pytorch_lightning"}  # Lightning's older name
    assert loaded(f"import {', '.join(sorted(names))}", tmp_path, names) == names


HELP = [[command, "--help"] for command in ("compress", "decompress", "export", "report")]


@pytest.mark.parametrize("args", [["inspect", "FILE"], *HELP], ids=" ".join)
def test_it_answers_without_torch(args: list[str], tmp_path: Path) -> None:
    words = [str(FILES / "rate_distortion_odd.smc") if arg == "FILE" else arg for arg in args]
    code = f"from semcomp_pl.cli import main\ntry: main({words})\nexcept SystemExit: pass"
    assert loaded(code, tmp_path, HEAVY) == set()


MODELS = {PLAIN: False, CONDITIONAL: True}
"""Whether they send label maps."""
MODELS |= {
    name: sends for name, sends in {"rate_distortion": False, "conditional_gan": True}.items() if name in released()
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model).parent.name + "/" + Path(model).name)
def test_coding_loads_no_training_stack(model: str, tmp_path: Path) -> None:
    sends_labels = MODELS[model]
    picture(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "masks" / "a.png")
    labels = ["--labels", "masks"] if sends_labels else []
    compress = COMMANDS.format(["compress", "a.png", "--model", model, *labels])
    assert loaded(compress, tmp_path, TRAINING) == set()
    decompress = COMMANDS.format(["decompress", "a.smc", "--model", model, "-o", "b.png"])
    assert loaded(decompress, tmp_path, TRAINING) == set()
    assert loaded(COMMANDS.format(["inspect", "a.smc"]), tmp_path, TRAINING) == set()
    label = "torch.zeros(40, 60).long()" if sends_labels else "None"
    code = (
        f"import semcomp_pl, torch\ncodec = semcomp_pl.load({model!r})\n"
        f"image = codec.decompress(codec.compress(torch.rand(3, 40, 60), {label}))\nassert image.shape == (3, 40, 60)"
    )
    assert loaded(code, tmp_path, TRAINING) == set()


def test_the_names_of_the_package_load_nothing_until_they_are_used(tmp_path: Path) -> None:
    assert loaded("import semcomp_pl; semcomp_pl.__version__; dir(semcomp_pl)", tmp_path, HEAVY) == set()
    assert {"Codec", "load", "load_segmenter"} <= {*dir(semcomp_pl)}
    text = pydoc.render_doc(semcomp_pl, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert all(name in text for name in ("codec.compress(Image.open(", "class Codec(", "load(model: "))
    code = "from semcomp_pl import Codec, load, load_segmenter"
    assert "torch" in loaded(code, tmp_path, HEAVY)
    assert loaded(code, tmp_path, TRAINING) == set()


def fit(root: Path) -> list[str]:
    """Arguments that train a tiny PlainGAN by one step, into `runs/plain_gan`."""
    (root / "data").mkdir()
    write_images(root / "data", {"train": 8, "val": 3})
    return ["fit", "--config=configs/model/plain_gan.yaml", *data_flags("data"), *GAN, "--trainer.max_steps=1"]


def test_training_loads_no_more_than_it_uses(tmp_path: Path) -> None:
    code = "from semcomp_pl.cli import main\ntry: main(['fit', '--help'])\nexcept SystemExit: pass"
    assert loaded(code, tmp_path, SPARED) == set()
    assert loaded(COMMANDS.format(fit(tmp_path)), tmp_path, SPARED) == set()


def test_a_source_tree_trains_and_codes_beside_few_packages(tmp_path: Path) -> None:
    """Found through PYTHONPATH alone, with nothing of the suite installed."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for one in (one for path in sys.path if Path(path).name == "site-packages" for one in Path(path).iterdir()):
        if re.split(r"[-.]", one.name)[0] not in ABSENT | {"semcomp_pl"}:
            (packages / one.name).symlink_to(one)
    commands = [
        fit(tmp_path),
        ["test", "runs/plain_gan"],
        ["export", "runs/plain_gan/checkpoints/best.ckpt", "export"],
        ["compress", "data/val/0.png", "--model=export", "-o=a.smc"],
        ["decompress", "a.smc", "--model=export", "-o=b.png"],
    ]
    code = f"""
import sys
from importlib.util import find_spec
sys.path.append({str(packages)!r})
assert not any(map(find_spec, {ABSENT}))
from semcomp_pl.cli import main
assert [main(args) for args in {commands}] == [0] * {len(commands)}
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without site-packages
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "runs/plain_gan/test/metrics.csv").is_file()
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (64, 32)
