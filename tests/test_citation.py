"""What others cite, and badges say, is what they have."""

import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import yaml

from semcomp_pl import __version__

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["version"] == __version__ == project["version"]
    assert cited["license"] == project["license"]
    assert cited["keywords"] == project["keywords"]
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in project["authors"]]
    # the format's required keys: https://github.com/citation-file-format/citation-file-format/blob/main/schema-guide.md
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()


def test_papers_are_those_of_the_readme() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"https://(?:arxiv|doi)\.org/[^)\s]+", readme))
    assert {paper["url"] for paper in cited} == named


def test_badges_are_true() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    badges = re.findall(r"https://img\.shields\.io/badge/([^)]+)-blue", (ROOT / "README.md").read_text())
    said = dict(unquote(badge).replace("--", "~").split("-") for badge in badges)
    assert said["python"] == settings["project"]["requires-python"].replace(">=", "≥")
    assert said["licence"].replace("~", "-") == settings["project"]["license"]
    assert settings["tool"]["mypy"][said["mypy"]] is True
    assert said.keys() == {"python", "licence", "mypy"}
