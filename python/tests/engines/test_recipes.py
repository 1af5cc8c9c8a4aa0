"""The README shows the recipes as they are run."""

import json
import pathlib

import pytest

PYTHON = pathlib.Path(__file__).resolve().parents[2]
SHOWN = ["vllm-tier.json", "vllm-connector.json", "sglang.json", "lmcache-plugin.yaml", "lmcache-l2-plugin.json"]


@pytest.mark.parametrize("name", SHOWN)
def test_the_readme_shows_what_the_file_says(name):
    assert (PYTHON / "recipes" / name).read_text() in (PYTHON / "README.md").read_text()


def test_every_recipe_is_named_in_the_readme_or_shown():
    text = (PYTHON / "README.md").read_text()
    missing = [path.name for path in (PYTHON / "recipes").iterdir() if path.name not in text and path.name not in SHOWN]
    assert missing == []


def test_vllm_recomputes_what_is_lost_and_sglang_copies_nothing():
    for name in ("vllm-tier.json", "vllm-connector.json"):
        recipe = json.loads((PYTHON / "recipes" / name).read_text())
        assert recipe["kv_load_failure_policy"] == "recompute"
    assert json.loads((PYTHON / "recipes" / "sglang.json").read_text())["interface_v1"] == 1
