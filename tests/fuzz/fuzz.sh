#!/usr/bin/env bash
# Builds a fuzz target with clang's libFuzzer, AddressSanitizer and UBSan, and runs it.
#   fuzz.sh region|wire|control|net FOLDER SECONDS    FOLDER keeps program and corpus: a later run goes on from there.
#                                                     SECONDS 0: builds only
set -euo pipefail

target=$1 folder=$2/$1 seconds=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
compiler=$(command -v clang++-16 || command -v clang++) || { echo "fuzz.sh: clang++ is missing; ./dev test --full installs it"; exit 77; }
mkdir -p "$folder/corpus"
includes=(-I"$root"/common/include -I"$root"/shared-mem/include -I"$root"/shared-mem/src -I"$root"/link/include
  -I"$root"/link/src -I"$root"/tests)
case $target in
  region) sources=("$root"/tests/fuzz/region_seeds.cpp "$root"/tests/hostile/{every_call,good_region}.cpp
    "$root"/shared-mem/src/*.cpp "$root"/link/src/replication_{applier,frame,payload}.cpp)
    includes+=(-DUNDERSTUDY_SHM_POINTS) libraries=();;
  wire) sources=("$root"/link/src/{bfd_authentication,bfd_packet,bfd_session,guest_channel,spec_json}.cpp
    "$root"/link/src/replication_{frame,payload}.cpp "$root"/link/src/control_api_status.cpp
    "$root"/common/src/net_types.cpp "$root"/shared-mem/src/app/messages.cpp "$root"/shared-mem/src/*.cpp)
    libraries=(-lcrypto -lboost_json);;
  control) sources=("$root"/tests/fuzz/{control_check,message_mutator}.cpp "$folder"/control.pb.cc
    "$root"/link/src/control_api_{convert_orders,convert_reports,convert_status,status}.cpp
    "$root"/link/src/{guest_channel,spec_json}.cpp "$root"/common/src/net_types.cpp)
    includes+=(-isystem "$folder") libraries=(-lprotobuf -lboost_json)
    protoc --proto_path="$root/link/proto" --cpp_out="$folder" control.proto;;
  net) sources=("$root"/net-state/src/{attributes,codec_flow,codec_route,nat,port_map}.cpp
    "$root"/common/src/net_types.cpp)
    includes+=(-I"$root"/net-state/include -I"$root"/net-state/src) libraries=(-lmnl);;
  *) echo "fuzz.sh: \"$target\" is no target; region, wire, control or net"; exit 2;;
esac
# One object each, on all processors; ccache, where it is, knows those that did not change.
flags=(-std=c++20 -O1 -g -fno-sanitize-recover=undefined "${includes[@]}")
objects=$folder/objects launcher=()
! command -v ccache >/dev/null || launcher=(ccache)
rm -rf "$objects" && mkdir "$objects"
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\0' "$root/tests/fuzz/${target}_fuzz.cpp" "${sources[@]}" |
  xargs -0 -P "$(nproc)" -n 1 bash -c 'last=${!#}; "${@:2:$#-2}" -c "$last" -o "$1/$(basename "$last").o"' fuzz.sh \
    "$objects" "${launcher[@]}" "$compiler" -fsanitize=fuzzer-no-link,address,undefined "${flags[@]}"
"$compiler" -fsanitize=fuzzer,address,undefined "$objects"/*.o "${libraries[@]}" -o "$folder/${target}_fuzz"
[ "$seconds" != 0 ] || exit 0
cd "$folder"
[ "$target" != region ] || UNDERSTUDY_FUZZ_SEEDS=corpus "./${target}_fuzz" -runs=0 2>seeds.log || { cat seeds.log; exit 1; }
exec "./${target}_fuzz" -max_total_time="$seconds" -max_len=6000 -len_control=0 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 corpus
