"""Programs outside as codecs: what they decode is what Pillow decodes, and what goes wrong with them is one error."""

import io
import pickle
import shlex
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semcomp_pl.codecs import CommandCodec, best_at
from semcomp_pl.errors import SemcompError
from tests.codecs.test_pillow import scene

WEBP: dict[str, Any] = {
    "encode": "cwebp -quiet -m 6 -q {quality} {input} -o {output}",
    "decode": "dwebp -quiet {input} -o {output}",
    "suffix": ".webp",
}
AVIF: dict[str, Any] = {
    "encode": "avifenc -s 8 --min {quality} --max {quality} {input} {output}",
    "decode": "avifdec {input} {output}",
    "suffix": ".avif",
    "quality_range": [63, 0],
}
COPY = "cp {input} {output}"


@pytest.fixture(params=[WEBP, AVIF], ids=["WebP", "AVIF"])
def program(request: pytest.FixtureRequest) -> dict[str, Any]:
    templates: dict[str, Any] = request.param
    for name in ("encode", "decode"):
        if shutil.which(templates[name].split()[0]) is None:
            pytest.skip(f"no {templates[name].split()[0]}; apt-get install webp libavif-bin")
    return templates


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def python(code: str, arguments: str = "{input} {output}") -> str:
    """Template of a Python program, whose arguments are in `a`."""
    return f"{shlex.join([sys.executable, '-c', f'import sys; a = sys.argv[1:]; {code}'])} {arguments}"


@pytest.mark.parametrize("downscale", [1, 2.5])
def test_a_program_decodes_to_what_pillow_decodes(program: dict[str, Any], downscale: float) -> None:
    codec = CommandCodec(**program, quality=70, downscale=downscale)
    data = codec.compress(scene(48, 80))
    found = CommandCodec(**program).decompress(data)
    with Image.open(io.BytesIO(data[4:] if downscale > 1 else data)) as picture:
        expected = np.asarray(picture.convert("RGB").resize((80, 48), Image.Resampling.LANCZOS))
    assert np.array_equal(found.mul(255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_the_rate_falls_with_quality_and_serves_the_search(program: dict[str, Any]) -> None:
    image = scene(48, 80)
    sizes = [len(CommandCodec(**program, quality=quality).compress(image)) for quality in (0, 40, 80, 100)]
    assert sizes == sorted(set(sizes))

    def make(quality: int, downscale: float) -> CommandCodec:
        return CommandCodec(**program, quality=quality, downscale=downscale)

    found = best_at(image, 1.0, make, downscales=(1, 4), qualities=range(0, 101, 25))
    assert found is not None
    assert found.bpp <= 1.0


@pytest.mark.parametrize("picture", [".png", ".ppm"])
@pytest.mark.parametrize("downscale", [1, 3])
def test_pictures_go_to_and_fro_without_loss(picture: Any, downscale: float) -> None:
    codec = CommandCodec(COPY, COPY, downscale=downscale, picture=picture)
    image = torch.rand(3, 9, 14).mul(255).round() / 255
    data = codec.compress(image)
    start = {".png": b"\x89PNG", ".ppm": b"P6"}[picture]
    assert data[4 if downscale > 1 else 0 :].startswith(start)
    assert codec.decompress(data).shape == (3, 9, 14)
    if downscale == 1:
        assert torch.equal(codec.decompress(data), image)


def test_placeholders_quotes_and_odd_names(tmp_path: Path) -> None:
    script = tmp_path / "my 'own' codec; rm $HOME.py"
    script.write_text(
        "import shutil, sys\nshutil.copy(*sys.argv[1:3])\nopen(sys.argv[2], 'ab').write(sys.argv[3].encode())"
    )
    said = "q={quality} {width}x{height} $HOME `ls` > {{quality}}"
    encode = f"{shlex.join([sys.executable, str(script)])} {{input}} {{output}} '{said}'"
    codec = CommandCodec(encode, COPY, quality=30, quality_range=(50, 20), suffix=".a b", downscale=2)
    data = codec.compress(scene(8, 12))
    assert data.endswith(b"IEND\xaeB`\x82q=41 6x4 $HOME `ls` > {41}")


@pytest.mark.parametrize(
    ("span", "quality", "said"),
    [((0, 100), 37, "37"), ((63, 0), 0, "63"), ((63, 0), 100, "0"), ((15, 0.5), 50, "7.75"), ((0, 1.0), 50, "0")],
)
def test_the_program_has_a_scale_of_its_own(span: tuple[float, float], quality: int, said: str) -> None:
    write = python("open(a[1], 'w').write(a[2])", "{input} {output} {quality}")
    assert CommandCodec(write, COPY, quality, quality_range=span).compress(scene(2, 2)) == said.encode()


def test_facts() -> None:
    codec = CommandCodec(**WEBP, quality=7, downscale=1.5)
    assert (codec.kind, codec.label, codec.point) == ("reference", "cwebp", "q7_x1.5")
    assert codec.provenance() == {"encode": WEBP["encode"], "decode": WEBP["decode"]}
    assert CommandCodec(**WEBP, label="WebP (cwebp)").label == "WebP (cwebp)"
    assert (CommandCodec(COPY, COPY).point, CommandCodec(COPY, COPY, downscale=2).point) == ("x1", "x2")


def test_it_goes_to_other_processes_and_threads() -> None:
    codec = pickle.loads(pickle.dumps(CommandCodec(COPY, COPY)))
    images = [scene(8, 8, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.compress, images)) == [codec.compress(image) for image in images]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "no-such-program {input} {output}",
            r"^no-such-program cannot be run \(No such file or directory\); install it",
        ),
        (python("print('x\\nlow\\n\\n', file=sys.stderr); sys.exit(3)"), "failed with status 3 and said: low$"),
        (python("print('only here'); sys.exit(1)"), "failed with status 1 and said: only here$"),
        (python("sys.exit('no ' + a[0])"), r"said: no input\.\w+$"),
        (python("import os; os.kill(os.getpid(), 9)"), "failed with status -9 and said: nothing$"),
        (python("print('nothing to do')"), r"wrote no \.\w+ file and said: nothing to do; correct"),
        (python("open(a[1], 'w')"), r"wrote no \.\w+ file and said: nothing; correct"),
    ],
    ids=["missing", "stderr", "stdout", "folder", "killed", "no file", "empty file"],
)
def test_a_program_that_fails_is_one_error_with_its_last_line(command: str, message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        CommandCodec(command, COPY).compress(scene(8, 8))
    with pytest.raises(SemcompError, match=message):
        CommandCodec(COPY, command).decompress(b"anything")


def test_a_program_and_what_it_started_end_with_the_time(tmp_path: Path) -> None:
    mark, script = tmp_path / "mark", tmp_path / "slow.sh"
    script.write_text(f"(sleep 1; touch {shlex.quote(str(mark))}) & sleep 600")
    slow = python("import time; time.sleep(600)"), f"sh {shlex.quote(str(script))} {{input}} {{output}}"
    for command in slow:
        with pytest.raises(SemcompError, match=r"still running after 0\.3 s; raise its timeout"):
            CommandCodec(command, COPY, timeout=0.3).compress(scene(8, 8))
    time.sleep(1.2)
    assert not mark.exists()


def test_a_picture_of_another_size_is_refused() -> None:
    shrink = python("from PIL import Image; Image.open(a[0]).crop((0, 0, 3, 4)).save(a[1])")
    data = CommandCodec(COPY, COPY, downscale=2, suffix=".png").compress(scene(8, 12))
    with pytest.raises(SemcompError, match="picture of 3x4 found under a header of 12x8"):
        CommandCodec(COPY, shrink, suffix=".png").decompress(data)


def test_a_picture_that_is_none_is_refused() -> None:
    with pytest.raises(SemcompError, match="no readable PNG image"):
        CommandCodec(COPY, COPY).decompress(b"anything")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"encode": "cwebp {input}"},
            r"encode command 'cwebp \{input\}' with placeholders \['input'\] found, expected",
        ),
        ({"encode": "cwebp -q {qualty} {input} {output}"}, "'qualty'"),
        ({"decode": "vvdecapp -s {width} {input} {output}"}, r"decode command .*'width'\] found, expected"),
        ({"encode": "cwebp 'x {input} {output}"}, "close the quotes"),
        ({"picture": ".bmp"}, r"'\.bmp' found, expected one of"),
        ({"quality": 101}, r"expected quality in 0\.\.100"),
    ],
)
def test_templates_and_numbers_are_checked_at_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        CommandCodec(**{"encode": COPY, "decode": COPY, **given})
