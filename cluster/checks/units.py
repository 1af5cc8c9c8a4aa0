"""Sizes and times as the program, compose and Kubernetes read them."""
import re

MEBIBYTE = 1 << 20


def byte_count(text, units):
    """Bytes of `512m` and the like; `None` for something else."""
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", str(text))
    return int(float(match[1]) * units[match[2]]) if match and match[2] in units else None


def larder_bytes(text):
    """Bytes of a size as `larder` reads it."""
    return byte_count(text, {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
                             "MB": 10**6, "GB": 10**9, "TB": 10**12})


def compose_bytes(text):
    """Bytes of a size as compose reads it."""
    return byte_count(text, {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30})


def kubernetes_bytes(text):
    """Bytes of a size as Kubernetes reads it."""
    return byte_count(text, {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40})


def seconds(text):
    """Seconds of `500ms`, `30s`, `2m`, `1h`; 0 for something else, which is then too short."""
    match = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", str(text))
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0
