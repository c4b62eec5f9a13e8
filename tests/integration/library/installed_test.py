#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libunderstudy as a user of its packages meets it: installed into an empty prefix, found by CMake and by pkg-config;
both examples built against nothing but that prefix count on in one region file, say why when another one runs, and
describe their store; what the README and the arena's header show is compiled; every installed header is used by a
strict compiler in C++, the C ones in C too, each by itself, and every C function is there to be linked."""
# Covers: shared-mem/src/c_api/library.cpp

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from twins_test import c_functions

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

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")

# Something of every header, so that templates are compiled too.
USES_CPP = """
namespace us = understudy;
namespace shm = understudy::shm;
struct Reading { double celsius; };
template <> inline constexpr bool understudy::shm::compared_bytewise<Reading> = true;
int main(int, char** argv) {
  const shm::TypedTable<std::uint64_t, Reading> sensors("sensors", 10);
  const shm::TypedBlobTable<std::uint64_t> texts("texts", 10, 100);
  const auto schema = shm::with_arena({"state", {sensors.schema(), texts.schema()}, 1 << 16}, 8192);
  const auto bytes = shm::Region::size_needed({{schema}}).value();
  const auto region = shm::Region::create_new(argv[1], bytes, {{schema}}).value();
  const auto store = region.store("state").value();
  auto writer = store.become_writer(us::Term{1}).value();
  const auto put = sensors.in(store).value().put(writer, 7, {21.5});
  const us::app::CommitMirrored waiting(put.value(), us::boot_now() + std::chrono::seconds(1));
  const auto answer = us::app::commit_mirrored(store, waiting.sequence(), std::chrono::seconds(1)).answer;
  const auto arena = shm::Arena::attach(writer);
  shm::FullTables full;
  if (!full.look(region, us::boot_now()).empty()) return 2;
  const us::app::Embedded embedded{argv[1], schema};
  return answer == us::app::CommitMirrored::Answer::Exposed && arena.ok() &&
                 us::app::Lifecycle::from_environment(embedded).ok() ? 0 : 1;
}
"""
# Around what the arena's header shows.
USES_ARENA = """
#include <boost/interprocess/managed_external_buffer.hpp>
#include "understudy/shm/arena.hpp"
namespace bip = boost::interprocess;
using namespace understudy::shm;
void* first_use(StoreWriter& writer) {
%s
  return heap.get_address();
}
"""
DESCRIBED = """[role.application]
name = "counter"
command = ["{program}"]
store = "counter"
journal_kib = 64
[[role.application.table]]
name = "counters"
key_bytes = 8
value_bytes = 8
capacity = 16
"""
USES_C = """
typedef void (*function)(void);
static const function all[] = {%s};
int main(void) {
  size_t i;
  for (i = 0; i < sizeof all / sizeof *all; ++i) if (all[i] == NULL) return 1;
  return 0;
}
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


def use_every_header(prefix, folder):
    """Every header with a strict compiler; what it declares is linked, and what is shown of it is compiled."""
    libdir = next(prefix.rglob("understudy.pc")).parent
    flags = run("pkg-config", "--cflags", "--libs", "understudy", env=os.environ | {"PKG_CONFIG_PATH": str(libdir)})
    link = (*flags.split(), f"-Wl,-rpath,{libdir.parent}")
    include = prefix / "include"
    cpp, c = (sorted(str(path.relative_to(include)) for path in include.rglob(kind)) for kind in ("*.hpp", "*.h"))
    assert len(cpp) >= 8 and len(c) >= 8, f"{cpp} {c}"
    for header in c:  # each by itself
        for language in (("cc", "-x", "c", "-std=c99"), ("c++", "-x", "c++", "-std=c++20")):
            run(*language, *WARNINGS, "-fsyntax-only", f"-I{include}", include / header)
    (folder / "all.cpp").write_text("".join(f'#include "{header}"\n' for header in cpp + c) + USES_CPP)
    run("c++", "-std=c++20", *WARNINGS, "-o", folder / "all-cpp", folder / "all.cpp", *link)
    run(folder / "all-cpp", f"{REGION}-all")
    names = sorted(c_functions((include / header).read_text() for header in c))
    assert len(names) > 80, names
    (folder / "all.c").write_text("".join(f'#include "{header}"\n' for header in c) +
                                  USES_C % ", ".join(f"(function)understudy_{name}" for name in names))
    run("cc", "-std=c99", *WARNINGS, "-o", folder / "all-c", folder / "all.c", *link)
    run(folder / "all-c")
    compile_what_is_shown(prefix, folder, link)
    print(f"{len(cpp)} headers in C++, {len(c)} in C with {len(names)} functions")


def compile_what_is_shown(prefix, folder, link):
    """The README's programs, one reading what the other has written, and the lines of the arena's header."""
    readme = (ROOT / "shared-mem/README.md").read_text()
    programs = {}
    for language, compiler in (("cpp", ("c++", "-std=c++20")), ("c", ("cc", "-std=c99"))):
        (shown,) = re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)
        source = folder / f"shown.{language}"
        source.write_text(shown)
        programs[language] = folder / f"shown-{language}"
        run(*compiler, *WARNINGS, "-o", programs[language], source, *link)
    use_what_is_shown(programs)
    header = (prefix / "include/understudy/shm/arena.hpp").read_text()
    (shown,) = re.findall(r"((?:^///   .*\n)*^///   Arena arena = .*\n(?:^///   .*\n)*)", header, re.MULTILINE)
    (folder / "arena.cpp").write_text(USES_ARENA % shown.replace("///", ""))
    run("c++", "-std=c++20", "-fsyntax-only", f"-I{prefix / 'include'}", folder / "arena.cpp")


def use_what_is_shown(programs):
    """The writer stays, the reader finds what it has written, and a second writer ends and says why."""
    environment = os.environ | {"UNDERSTUDY_REGION": f"{REGION}-shown"}
    deadline = time.monotonic() + 20
    with subprocess.Popen([programs["cpp"]], env=environment) as writer:
        try:
            reads = [programs["c"], f"{REGION}-shown"]
            while (read := subprocess.run(reads, text=True, capture_output=True)).returncode != 0:
                assert writer.poll() is None and time.monotonic() < deadline, f"{writer.poll()} {read}"
            assert read.stdout.strip() == "7 was seen 1 times", read
            second = subprocess.run([programs["cpp"]], text=True, capture_output=True, env=environment, timeout=20)
            assert second.returncode == 1 and "is being written by another process" in second.stderr, second
            assert writer.poll() is None, f"the writer ended with {writer.poll()}"
        finally:
            writer.kill()


def check_alone(program):
    """While one runs, a second one ends and says why; what it describes is what a role's configuration needs."""
    environment = os.environ | {"UNDERSTUDY_REGION": REGION}
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True, env=environment) as first:
        try:
            first.stdout.readline()
            second = subprocess.run([program], text=True, capture_output=True, env=environment, timeout=20)
            assert second.returncode == 1 and "is being written by another process" in second.stderr, second
        finally:
            first.kill()
    assert run(program, "--describe-store") == DESCRIBED.format(program=program), run(program, "--describe-store")


def check_abi(prefix):
    """Until 1.0 every minor version is a library of its own: nothing built for another one is started with it."""
    version = run("pkg-config", "--modversion", str(next(prefix.rglob("understudy.pc")))).strip().split(".")
    abi = ".".join(version[:2]) if version[0] == "0" else version[0]
    library = next(prefix.rglob("libunderstudy.so")).resolve()
    assert f"[libunderstudy.so.{abi}]" in run("readelf", "-d", library), f"{library} is not of ABI {abi}"


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
        check_abi(prefix)
        with concurrent.futures.ThreadPoolExecutor() as side_by_side:
            headers = side_by_side.submit(use_every_header, prefix, folder)
            made = [side_by_side.submit(make, prefix, folder) for make in (with_cmake, with_pkg_config)]
            headers.result()
            programs = [one.result() for one in made]
        counted = []
        for program in (*programs, *programs):
            counted += counts_of(program)
        # The one that was killed may have counted once more before it died.
        assert counted[0] == 1 and all(a < b <= a + 2 for a, b in zip(counted, counted[1:])), counted
        print(f"C++ and C in turns: {counted}")
        for program in programs:
            check_alone(program)
    finally:
        shutil.rmtree(folder)
        for region in (REGION, f"{REGION}-all", f"{REGION}-shown"):
            pathlib.Path(region).unlink(missing_ok=True)


main()
