"""Makes SGLang's cache modules importable without its GPU packages.

SGLang's packages import the whole server from their `__init__`. Here they are entered as bare packages, so that
importing a module of `sglang.srt.mem_cache` runs that module and what it imports itself, unchanged.
"""

import importlib.machinery
import os
import pathlib
import sys
import types

import stubs
import torch
import transformers.utils

SOURCES = pathlib.Path(os.environ["LARDER_ENGINES"]) / "sglang"
_BARE = ("sglang",)


def _enter_bare(name):
    package = types.ModuleType(name)
    package.__path__ = [str(SOURCES / name.replace(".", "/"))]
    package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    package.__spec__.submodule_search_locations = package.__path__
    sys.modules[name] = package


sys.path.insert(0, str(SOURCES))
# Asked once before there is a stand-in, so that transformers knows that the real one is absent.
transformers.utils.is_torchvision_available()
stubs.install((*stubs.GPU_ONLY, *stubs.UNUSED, "torchvision", "triton"))
# Compiling needs Triton, and none of the decorated functions runs here.
torch.compile = lambda model=None, **_: model if model is not None else lambda function: function
for _name in _BARE:
    _enter_bare(_name)
