#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libunderstudy as a user of its packages meets it: installed into an empty prefix, found by CMake and by pkg-config,
and both examples built against nothing but that prefix count on in one region file."""
# Covers: shared-mem/src/c_api/library.cpp

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ["UNDERSTUDY_BUILD"])
REGION = f"/dev/shm/understudy-installed-test-{os.getpid()}"
COUNTS_EACH = 2

CONSUMER = """cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(understudy {version} REQUIRED)
add_executable(counter {source})
target_link_libraries(counter PRIVATE understudy::understudy)
"""


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(prefix):
    for component in ("library", "devel"):
        run("cmake", "--install", BUILD, "--prefix", prefix, "--component", component)


def with_pkg_config(prefix, folder):
    libdir = next(prefix.rglob("understudy.pc")).parent
    flags = run("pkg-config", "--cflags", "--libs", "understudy", env=os.environ | {"PKG_CONFIG_PATH": str(libdir)})
    assert str(prefix) in flags, f"pkg-config names another place: {flags}"
    program = folder / "counter-c"
    run("cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-o", program, ROOT / "examples/counter-c/main.c",
        *flags.split(), f"-Wl,-rpath,{libdir.parent}")
    return program


def with_cmake(prefix, folder):
    version = run("pkg-config", "--modversion", str(next(prefix.rglob("understudy.pc")))).strip()
    (folder / "CMakeLists.txt").write_text(
        CONSUMER.format(version=version, source=ROOT / "examples/counter/main.cpp"))
    run("cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", folder / "build")
    return folder / "build" / "counter"


def counts_of(program):
    """The first numbers of a run that is then killed: what it counted must be there for the next one."""
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"UNDERSTUDY_REGION": REGION}) as counter:
        try:
            return [int(counter.stdout.readline()) for _ in range(COUNTS_EACH)]
        finally:
            counter.kill()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understudy-installed-"))
    try:
        prefix = folder / "prefix"
        install(prefix)
        programs = [with_cmake(prefix, folder), with_pkg_config(prefix, folder)]
        counted = []
        for program in (*programs, *programs):
            counted += counts_of(program)
        # The one that was killed may have counted once more before it died.
        assert counted[0] == 1 and all(a < b <= a + 2 for a, b in zip(counted, counted[1:])), counted
        print(f"C++ and C in turns: {counted}")
    finally:
        shutil.rmtree(folder)
        pathlib.Path(REGION).unlink(missing_ok=True)


main()
