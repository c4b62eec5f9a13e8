#!/usr/bin/env bash
# Builds the fuzz target with clang's libFuzzer, AddressSanitizer and UBSan, and runs it.
#   fuzz.sh FOLDER SECONDS    FOLDER keeps the program and the corpus, so that a later run goes on from there
set -euo pipefail

folder=$1 seconds=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
compiler=$(command -v clang++-16 || command -v clang++) || { echo "fuzz.sh: clang++ is missing; ./dev test --full installs it"; exit 77; }
mkdir -p "$folder/corpus"
sources=("$root"/tests/fuzz/region_fuzz.cpp "$root"/shared-mem/src/*.cpp
  "$root"/link/src/replication_{applier,frame,payload}.cpp)
"$compiler" -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
  -I"$root"/common/include -I"$root"/shared-mem/include -I"$root"/shared-mem/src -I"$root"/link/include -I"$root"/link/src \
  "${sources[@]}" -o "$folder/region_fuzz"
cd "$folder"
exec ./region_fuzz -max_total_time="$seconds" -max_len=6000 -len_control=0 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 corpus
