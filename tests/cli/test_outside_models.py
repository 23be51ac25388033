"""Models that are no part of the suite: trained, coded and compared like any other, but only if asked for."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from semcomp_pl.checkpoints.loading import load
from semcomp_pl.cli import main
from semcomp_pl.errors import SemcompError
from tests.cli.common import QUIET, TINY, data_flags
from tests.lab import Lab, scene, tampered, write_images, write_png

MODULE = '''
from semcomp_pl.modules import RateDistortion


class Mine(RateDistortion):
    """A model of one's own.

    Args:
        extra: A number of its own.
        kwargs: See `RateDistortion`.
    """

    def __init__(self, extra: int = 1, **kwargs: object) -> None:
        super().__init__(**kwargs)
'''


@pytest.fixture
def forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory has a module of its own; what it was imported as is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    Path("my_models.py").write_text(MODULE)


@pytest.mark.usefixtures("forgotten")
def test_a_model_from_outside_serves_everywhere_but_in_exports(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").mkdir()
    write_images(Path("data"), {"train": 4, "val": 2})
    write_png(Path("a.png"), scene(32, 64))
    flags = [*data_flags("data"), *TINY, *QUIET, "--trainer.max_epochs=1", "--model.extra=2"]
    assert main(["fit", "--import", "my_models", "--model=Mine", *flags, "--entropy_steps=2"]) == 0
    del sys.modules["my_models"]
    assert main(["compress", "a.png", "--model", "mine"]) == 2
    assert "a model 'my_models.Mine' found, expected one of RateDistortion" in (said := capsys.readouterr().err)
    assert "have its code run with --import my_models" in said
    assert "my_models" not in sys.modules
    assert main(["compress", "a.png", "--model", "mine", "--import=my_models"]) == 0
    assert Path("a.smc").read_bytes() == load("mine").compress(scene(32, 64))
    quick = ["--codecs=[]", "--images=1", "--draws=10", "--timed_images=0", "--pictures=0", "--workers=1"]
    assert main(["compare", "mine", "--import=my_models", *data_flags("data"), *quick, "--output=c"]) == 0
    assert json.loads(Path("c/summary.json").read_text())["codecs"] == ["Mine"]
    assert "my_models" in Path("c/config.yaml").read_text()
    assert main(["export", "mine", "exported"]) == 2
    assert "a my_models.Mine from outside the suite found, which no export can name" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("forgotten")
def test_a_sweep_trains_them_whoever_names_their_module(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line, or the sweep's own command, which W&B's agents run too."""
    Path("data").mkdir()
    write_images(Path("data"), {"train": 4, "val": 2})
    flags = [*data_flags("data"), *TINY, *QUIET, "--trainer.max_epochs=1"]
    sweep = {"method": "grid", "metric": {"name": "val/psnr"}, "parameters": {"model": {"values": ["Mine"]}}}
    said = []
    for name, own in {"told": [], "knows": ["--import", "my_models"]}.items():
        command = ["${interpreter}", "-m", "semcomp_pl", "fit", *own, *flags, "${args}"]
        Path(f"{name}.yaml").write_text(yaml.safe_dump({**sweep, "command": command}))
        given = [] if own else ["--import=my_models"]
        assert main(["sweep", f"{name}.yaml", "--name=study", "--dry-run", *given]) == 0
        said.append(capsys.readouterr().out)
        del sys.modules["my_models"]
    assert said[0] == said[1]
    assert "-m semcomp_pl --import=my_models fit " in said[0]
    assert main(["sweep", "told.yaml", "--import=my_models"]) == 0
    (run,) = Path("runs/told").glob("000*/")
    assert load(run).name == "Mine"
    assert "warn" not in Path("runs/told/logs", run.name).with_suffix(".log").read_text().lower()
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[:3] == ["semcomp", "compare", str(run)]
    assert "--import=my_models" in words


@pytest.mark.usefixtures("forgotten")
def test_an_export_names_no_code_even_if_it_is_there(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.checkpoint(lab.model("rate_distortion"), Path("a.ckpt"))
    assert main(["export", "a.ckpt", "e"]) == 0
    config = json.loads(Path("e/config.json").read_text())
    Path("e/config.json").write_text(json.dumps({**config, "model": "my_models.Mine"}))
    manifest = json.loads(Path("e/manifest.json").read_text())
    from hashlib import sha256

    digest = sha256(Path("e/config.json").read_bytes()).hexdigest()
    Path("e/manifest.json").write_text(json.dumps({**manifest, "config.json": digest}))
    write_png(Path("a.png"), scene(32, 64))
    assert main(["compress", "a.png", "--model", "e", "--import=my_models"]) == 2
    assert "a model 'my_models.Mine' found, expected one of RateDistortion" in (said := capsys.readouterr().err)
    assert "--import" not in said


@pytest.mark.parametrize("name", ["os.system", "torch.nn.Module", "tests.lab.Lab", "semcomp_pl.cli.main"])
def test_an_imported_module_does_not_make_its_names_models(name: str, lab: Lab, tmp_path: Path) -> None:
    file = lab.checkpoint(lab.model("rate_distortion"), tmp_path / "a.ckpt")
    with pytest.raises(SemcompError, match=f"a model '{name}' found, expected one of RateDistortion"):
        load(tampered(file, tmp_path / "b.ckpt", model=name))


@pytest.mark.usefixtures("forgotten")
def test_a_module_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "a.png", "--model", "mine", "--import", "my_modelz"]) == 2
    assert "--import my_modelz: No module named 'my_modelz'; expected a Python module" in capsys.readouterr().err
