"""Stands in for packages that an engine imports at its start and that need a GPU, or that no test here uses.

An engine's wheel asks for some gigabytes of CUDA packages before its first line runs. What these tests drive, the
cache side of the engine, needs none of them. `install(names)` answers imports of the named packages, where they are
not installed, with empty modules whose attributes are made on demand. Product code never sees this file.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

# What vLLM 0.33.0 and SGLang 0.5.23 import on the way to their cache code, and the tests do not need.
GPU_ONLY = (
    "cutlass", "deep_gemm", "flash_attn", "flashinfer", "nvtx", "pynvml", "quack", "sgl_kernel", "sgl_kernel_npu",
    "tilelang", "tvm_ffi",
)
UNUSED = (
    "anthropic", "llguidance", "lmformatenforcer", "mcp", "mistral_common", "openai_harmony", "outlines",
    "outlines_core", "prometheus_fastapi_instrumentator", "tiktoken", "xgrammar",
)


class _Anything(type):
    """A class that is also whatever else is asked of it: a decorator, a generic, a context manager."""

    def __getattr__(cls, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        made = _class(name)
        setattr(cls, name, made)
        return made

    def __getitem__(cls, _):
        return cls

    def __or__(cls, _):
        return cls

    __ror__ = __or__


def _class(name):
    def create(cls, *arguments, **_):
        # A decorator without parentheses hands its function back.
        if len(arguments) == 1 and isinstance(arguments[0], (types.FunctionType, type)):
            return arguments[0]
        return object.__new__(cls)

    return _Anything(name, (), {"__new__": create, "__init__": lambda self, *_, **__: None,
                                "__call__": lambda self, *arguments, **_: arguments[0] if arguments else None,
                                "__get_pydantic_core_schema__": classmethod(lambda cls, *_: {"type": "any"})})


class _Stub(types.ModuleType):
    __path__ = []
    __version__ = "0.0"

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name[:1].islower() and importlib.util.find_spec(f"{self.__name__}.{name}") is None:
            raise AttributeError(name)
        made = _class(name)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self._names = frozenset(names)

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self._names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Stub(spec.name)

    def exec_module(self, module):
        pass


def install(names=GPU_ONLY + UNUSED):
    """Stubs those of `names` that cannot be imported; returns them."""
    missing = [name for name in names if name not in sys.modules and importlib.util.find_spec(name) is None]
    sys.meta_path.append(_Finder(missing))
    return missing
