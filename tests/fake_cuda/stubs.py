"""C for the functions of CUDA's libraries that torch calls and the pretended runtime does not have: they succeed at nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

LIBRARIES = ("libc10_cuda.so", "libtorch_cuda.so", "libtorch_python.so", "libtorch_cuda_linalg.so")  # of torch/lib
OURS = re.compile(r" U (\w+)@lib(?:cudart|cublas|cublasLt|cudnn|cufft)\.so", re.MULTILINE)
COMPUTES = re.compile(
    r"cublas.*(gemm|Gemm|gemv|dot|Dot|trsm)|cudnn(Pooling|RNN|Convolution|BatchNormalization)(Forward|Backward)"
)  # one kernel each; their first argument is the library's handle
DRIVER = re.findall(
    r"\w+",
    "cuFuncGetAttribute cuFuncSetAttribute cuFuncSetCacheConfig cuLaunchCooperativeKernel cuLaunchKernel cuLinkAddData_v2 "
    "cuLinkComplete cuLinkCreate_v2 cuModuleGetFunction cuModuleLoad cuModuleLoadData cuModuleLoadDataEx cuModuleUnload "
    "cuOccupancyMaxActiveBlocksPerMultiprocessor cuPointerGetAttribute cuTensorMapEncodeTiled",
)  # asked for by name (dlsym), so no table lists them


def stubs(torch_libraries: Path, objects: Iterable[Path]) -> str:
    """C code: every function that torch needs of these libraries and that the compiled objects lack."""
    needed = {name for library in LIBRARIES for name in _undefined(torch_libraries / library)} | set(DRIVER)
    missing = sorted(needed - {name for path in objects for name in _defined(path)})
    head = "long fake_library_kernel(const char*, void*);\nlong fake_unknown(const char*);\n"
    return head + "".join(_computes(name) if COMPUTES.match(name) else _succeeds(name) for name in missing)


def _computes(name: str) -> str:
    return f'long {name}(void* handle) {{ return fake_library_kernel("{name}", handle); }}\n'


def _succeeds(name: str) -> str:
    return f'long {name}() {{ return fake_unknown("{name}"); }}\n'


def _undefined(library: Path) -> set[str]:
    return set(OURS.findall(_nm("-D", "--undefined-only", str(library))))


def _defined(path: Path) -> set[str]:
    return {line.split()[-1] for line in _nm("--defined-only", str(path)).splitlines() if " T " in line}


def _nm(*arguments: str) -> str:
    return subprocess.run(["nm", *arguments], capture_output=True, text=True, check=True).stdout
