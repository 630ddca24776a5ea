"""In-tree PEP 517 and PEP 660 backend: Cython kernels first, then maturin.

maturin builds Rust alone. So the kernels of ``ext/*.pyx`` are compiled into ``vna/`` before it
runs, and maturin packs them like any other file of the package (``tool.maturin.include``). The
wheel's tag comes from the Rust side: ``vna._core`` is not abi3, so the tag names one Python
version, which is what the kernels need too.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

import maturin

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "ext"
PACKAGE = ROOT / "vna"
BUILD = ROOT / "build"

Config = dict[str, Any] | None

# maturin's module starts the program of that name. Without build isolation the scripts of the
# environment that runs us need not be on the path.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


def compile_kernels() -> list[Path]:
    """Compile each kernel of ``ext/`` into ``vna/_NAME`` and return the extension modules.

    A kernel that is newer than its source is left as it is.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    sources = sorted(KERNELS.glob("*.pyx"))
    here = Path.cwd()
    os.chdir(ROOT)  # build_ext --inplace resolves packages against the current folder
    try:
        # No debug symbols: they would be ten times the code.
        extensions = [
            Extension(
                f"vna._{source.stem}",
                [str(source.relative_to(ROOT))],
                extra_compile_args=["-O2", "-g0"],
            )
            for source in sources
        ]
        compiler: Any = cythonize  # untyped
        modules = compiler(extensions, build_dir=str(BUILD / "cython"), quiet=True)
        distribution = Distribution({"name": "vna", "packages": ["vna"], "ext_modules": modules})
        command = build_ext(distribution)
        command.inplace = True
        command.build_temp = str(BUILD / "temp")
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(here)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = [PACKAGE / f"_{source.stem}{suffix}" for source in sources]
    missing = [path.name for path in built if not path.is_file()]
    if missing:
        raise RuntimeError(f"the C compiler left no {', '.join(missing)} in {PACKAGE}")
    return built


def drop_foreign_kernels(built: list[Path]) -> None:
    """Remove kernels of other Python versions, which the wheel would carry along."""
    for kernel in {path.name.partition(".")[0] for path in built}:
        for path in PACKAGE.glob(f"{kernel}.*.so"):
            if path not in built:
                path.unlink()


def get_requires_for_build_wheel(config_settings: Config = None) -> list[str]:
    """Nothing beyond ``build-system.requires``."""
    return []


def get_requires_for_build_editable(config_settings: Config = None) -> list[str]:
    """Nothing beyond ``build-system.requires``."""
    return []


def get_requires_for_build_sdist(config_settings: Config = None) -> list[str]:
    """Nothing beyond ``build-system.requires``."""
    return []


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Config = None
) -> str:
    """Write the metadata; needs no compiler."""
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    """Build the complete wheel: kernels, ``vna._core``, Python."""
    drop_foreign_kernels(compile_kernels())
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    """Build kernels and ``vna._core`` into the source tree and a wheel that points to it."""
    compile_kernels()
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Config = None) -> str:
    """Pack the sources; the kernels are compiled where the sdist is installed."""
    return str(maturin.build_sdist(sdist_directory, config_settings))
