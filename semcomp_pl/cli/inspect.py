"""`semcomp inspect`: show the parts of files."""

import json
import sys
from pathlib import Path
from typing import Any

from semcomp_pl.cli.files import FilesParser, is_compressed, read_bytes
from semcomp_pl.coding.container import Container, parse
from semcomp_pl.coding.sections import SECTIONS
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.outputs import expand


def main(args: list[str]) -> int:
    """Run `semcomp inspect`; returns 3 if a file is not a valid .smc file."""
    parser = FilesParser(
        "inspect", "Show the parts of .smc files and their sizes. It needs no model, so it checks only their structure."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, directory or pattern")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    options = parser.parse_args(args)
    failed = False
    for path in expand(options.files, is_compressed):
        try:
            data = read_bytes(path)
            found = _describe(path, parse(data), len(data))
        except SemcompError as error:
            failed = True
            print(f"error: {path}: {error}", file=sys.stderr)
            continue
        print(json.dumps(found) if options.json else _text(found))
    if not options.json:
        print("Structure only: the check covers decoded symbols too, and only the model can decode them.")
    return 3 if failed else 0


def _describe(path: Path, container: Container, size: int) -> dict[str, Any]:
    pixels = container.height * container.width
    parts = {"header": container.overhead}
    parts |= {section.kind.name.lower(): len(section.data) for section in container.sections}
    coders = {section.kind.name.lower(): section.coder for section in container.sections}
    return {
        "file": str(path),
        "width": container.width,
        "height": container.height,
        "model": container.model.hex(),
        "bytes": size,
        "bpp": 8 * size / pixels,
        "parts": {
            name: {"bytes": n, "bpp": 8 * n / pixels, **({"coder": coders[name]} if name in coders else {})}
            for name, n in parts.items()
        },
    }


def _text(found: dict[str, Any]) -> str:
    names = {kind.kind.name.lower(): kind.coders for kind in SECTIONS}
    lines = [f"{found['file']}: {found['width']}x{found['height']}, model {found['model']}"]
    for name, part in found["parts"].items():
        known = names.get(name, ())
        coder = part.get("coder")
        how = "" if coder is None else known[coder] if coder < len(known) else f"coder {coder}"
        lines.append(f"  {name:10} {part['bytes']:10} bytes  {part['bpp']:.4f} bpp  {how}".rstrip())
    lines.append(f"  {'file':10} {found['bytes']:10} bytes  {found['bpp']:.4f} bpp")
    return "\n".join(lines)
