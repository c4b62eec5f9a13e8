#!/usr/bin/env bash
# Builds a fuzz target with clang's libFuzzer, AddressSanitizer and UBSan, and runs it.
#   fuzz.sh region|wire FOLDER SECONDS    FOLDER keeps program and corpus, so that a later run goes on from there
set -euo pipefail

target=$1 folder=$2/$1 seconds=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
compiler=$(command -v clang++-16 || command -v clang++) || { echo "fuzz.sh: clang++ is missing; ./dev test --full installs it"; exit 77; }
mkdir -p "$folder/corpus"
case $target in
  region) sources=("$root"/shared-mem/src/*.cpp "$root"/link/src/replication_{applier,frame,payload}.cpp); libraries=();;
  wire) sources=("$root"/link/src/{bfd_authentication,bfd_packet,bfd_session,guest_channel,spec_json}.cpp
    "$root"/link/src/replication_{frame,payload}.cpp "$root"/link/src/control_api_status.cpp
    "$root"/common/src/net_types.cpp "$root"/shared-mem/src/*.cpp); libraries=(-lcrypto -lboost_json);;
  *) echo "fuzz.sh: \"$target\" is no target; region or wire"; exit 2;;
esac
"$compiler" -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
  -I"$root"/common/include -I"$root"/shared-mem/include -I"$root"/shared-mem/src -I"$root"/link/include -I"$root"/link/src \
  "$root/tests/fuzz/${target}_fuzz.cpp" "${sources[@]}" "${libraries[@]}" -o "$folder/${target}_fuzz"
cd "$folder"
exec "./${target}_fuzz" -max_total_time="$seconds" -max_len=6000 -len_control=0 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 corpus
