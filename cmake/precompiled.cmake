# Headers that are not ours, parsed once for a whole build: half of what a small file costs is Boost.Asio or GoogleTest.
#
#   understudy_precompiled(<target> io | test)
#
# Opt-in, and never for a core: a forced include would hide what a core may not see. Every target that shares a set has
# the options it was compiled with (GCC refuses the set otherwise, and -Werror says so). With ccache they are off: whole
# objects come from it, for every tree, and a file that lacks an include of its own is found there.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache")
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

set(understudy_precompiled_standard
  <algorithm> <chrono> <deque> <filesystem> <fstream> <functional> <map> <memory> <optional> <set> <span> <sstream>
  <string> <string_view> <variant> <vector>)

set(understudy_nothing ${CMAKE_BINARY_DIR}/nothing.cpp)  # a library must have a source
file(CONFIGURE OUTPUT ${understudy_nothing} CONTENT "")

add_library(understudy_precompiled_io OBJECT EXCLUDE_FROM_ALL ${understudy_nothing})
target_link_libraries(understudy_precompiled_io PRIVATE Boost::headers Boost::json understudy_warnings)
target_precompile_headers(understudy_precompiled_io PRIVATE ${understudy_precompiled_standard}
  <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp> <boost/asio/local/stream_protocol.hpp>
  <boost/asio/posix/stream_descriptor.hpp> <boost/asio/post.hpp> <boost/asio/signal_set.hpp>
  <boost/asio/steady_timer.hpp> <boost/asio/write.hpp> <boost/json.hpp>)

if(UNDERSTUDY_TESTS)
  find_package(GTest REQUIRED)
  add_library(understudy_precompiled_test OBJECT EXCLUDE_FROM_ALL ${understudy_nothing})
  target_link_libraries(understudy_precompiled_test PRIVATE GTest::gtest GTest::gmock understudy_warnings)
  target_precompile_headers(understudy_precompiled_test PRIVATE ${understudy_precompiled_standard}
    <gmock/gmock.h> <gtest/gtest.h>)
endif()

function(understudy_precompiled target set)
  target_precompile_headers(${target} REUSE_FROM understudy_precompiled_${set})
endfunction()
