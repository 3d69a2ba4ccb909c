"""Builds the compiled parts: the engine's Cython modules and the agent's small C programs.

They are built by one `build_ext`, so that a wheel and an editable install end with the same files beside their
sources. What the metadata says stands in pyproject.toml; this file must never repeat it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
NATIVE = Path("provisioner", "agent", "native")
NATIVE_BUILD = ROOT / NATIVE / "build.py"
NATIVE_OUTPUTS = ("hourbook-init", "libnvidia-ml.so.1")

COMPILE_ARGS = ["-O3", "-fno-strict-aliasing", "-Wall", "-Wno-unused-function"]
# Each module is one unit of many small rooms: with the usual bound on its growth the compiler stops inlining half way.
COMPILE_ARGS += ["--param", "inline-unit-growth=200"]
# And a command passes through more code than the nearest cache holds: nothing is padded.
COMPILE_ARGS += ["-fno-align-loops", "-fno-align-jumps", "-fno-align-labels"]
# What a market's day takes, and how often: counted by the one build, and what the other goes by (`make guided`).
PROFILE_ARGS = {
    "generate": ["-fprofile-generate", "-fprofile-update=single", "-Wno-maybe-uninitialized"],
    "use": ["-fprofile-use", "-fprofile-correction", "-Wno-missing-profile", "-Wno-maybe-uninitialized"],
}
# It chooses its loops as it loads, before anything can be counted.
UNPROFILED = frozenset({"grid_fast"})
SANITIZE_ARGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]


def compile_switches() -> tuple[list[str], list[str], list[tuple[str, str | None]]]:
    """Compiler's and linker's arguments and macros, as the environment asks.

    HOURBOOK_SANITIZE=1: AddressSanitizer and UBSan watch every access. HOURBOOK_BARE=1: the fast book without all that a
    limit order doesn't need, against which the cost of its features is measured. Build either into a directory of its own
    (`build_ext --build-lib X --build-temp Y`): the module's name stays.
    """
    compile_args, link_args, macros = list(COMPILE_ARGS), list[str](), list[tuple[str, str | None]]()
    if os.environ.get("HOURBOOK_SANITIZE") == "1":
        compile_args += SANITIZE_ARGS
        link_args.append(SANITIZE_ARGS[0])
    if os.environ.get("HOURBOOK_BARE") == "1":
        macros.append(("HOURBOOK_BARE", "1"))
    return compile_args, link_args, macros


def engine_extensions() -> list[Extension]:
    """Every `.pyx` of the engine, as the module that its path names."""
    compile_args, link_args, macros = compile_switches()
    profiled = os.environ.get("HOURBOOK_PROFILE", "")
    profile_args = PROFILE_ARGS.get(profiled, [])
    if profiled == "use":
        macros.append(("HOURBOOK_GUIDED", "1"))
    extensions = []
    for source in sorted((ROOT / "engine").rglob("*.pyx")):
        profile = [] if source.stem in UNPROFILED else profile_args
        extensions.append(
            Extension(
                ".".join(source.relative_to(ROOT).with_suffix("").parts),
                [str(source.relative_to(ROOT))],
                extra_compile_args=compile_args + profile,
                extra_link_args=link_args + profile,
                define_macros=macros,
            )
        )
    return extensions


def build_native(out_dir: Path) -> None:
    """Run the agent's own build by path: importing its package here would need what it depends on."""
    spec = importlib.util.spec_from_file_location("hourbook_native_build", NATIVE_BUILD)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{NATIVE_BUILD} can't be loaded; the checkout is incomplete, clone it again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out_dir.mkdir(parents=True, exist_ok=True)
    module.build(out_dir, os.environ.get("CC", "cc"))
    missing = [name for name in NATIVE_OUTPUTS if not (out_dir / name).is_file()]
    if missing:
        raise RuntimeError(f"{NATIVE_BUILD} left {', '.join(missing)} unbuilt in {out_dir}")


class BuildCompiled(build_ext):
    """`build_ext` that also builds the agent's native programs, in place where the install is editable."""

    def _native_dir(self) -> Path:
        base = ROOT if self.inplace or self.editable_mode else Path(self.build_lib)
        return base / NATIVE / "bin"

    def initialize_options(self) -> None:
        super().initialize_options()
        self.parallel = os.cpu_count()

    def run(self) -> None:
        super().run()
        build_native(self._native_dir())

    def get_outputs(self) -> list[str]:
        native = [str(self._native_dir() / name) for name in NATIVE_OUTPUTS]
        return [*super().get_outputs(), *native]


class PlatformDistribution(Distribution):
    """Always a platform's own: the native programs are there even where no extension module is."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    distclass=PlatformDistribution,
    cmdclass={"build_ext": BuildCompiled},
    ext_modules=cythonize(
        engine_extensions(),
        build_dir="build/cython",
        compiler_directives={"language_level": "3"},
    ),
)
