"""What it was measured on."""

from __future__ import annotations

import os
import pathlib
import platform
import sysconfig
from importlib.metadata import version

LIBRARIES = [
    "flask",
    "werkzeug",
    "svcs",
    "dishka",
    "wireup",
    "flask-injector",
    "injector",
    "dependency-injector",
]


def described() -> dict[str, str]:
    """By what is described, in the order of the report."""
    return {
        "Processor": _processor(),
        "Cores": str(os.cpu_count()),
        "Kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"{build()}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def build() -> str:
    """How this Python was optimised when it was built: it decides what is fast."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    profiled = "--enable-optimizations" in options
    linked = "--with-lto" in options
    return f"{'with' if profiled else 'no'} PGO, {'with' if linked else 'no'} LTO"


def load() -> float:
    """How many processes wanted to run within the last minute, beside ours."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
