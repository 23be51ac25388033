"""What each command loads: coding needs neither the training stack nor, before any work, torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcomp_pl.files.places import released
from tests.cli.common import CONDITIONAL, FILES, PLAIN, picture

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
COMMANDS = "from semcomp_pl.cli import main\nassert main({!r}) == 0"


def loaded(code: str, directory: Path, watched: set[str]) -> set[str]:
    """Which of the watched modules a fresh process has after running some code in a directory."""
    code += f"\nimport sys\nprint(sorted({watched!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(eval(done.stdout.splitlines()[-1]))


def test_the_watched_names_are_real(tmp_path: Path) -> None:
    """What nobody can import would never be found."""
    found = loaded("import semcomp_pl.cli.train, semcomp_pl.cli.compare", tmp_path, HEAVY)
    assert found == HEAVY - {"pytorch_lightning"}, "which is Lightning's older name"


@pytest.mark.parametrize("args", [["inspect", "FILE"], ["compress", "--help"], ["decompress", "--help"]], ids=" ".join)
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
    code = "from semcomp_pl import Codec, load, load_segmenter"
    assert "torch" in loaded(code, tmp_path, HEAVY)
    assert loaded(code, tmp_path, TRAINING) == set()
