# understudy_spec_json: RunMirror and the guest channel's messages as JSON lines, for host-agent and guest-agent.
add_library(understudy_spec_json STATIC src/spec_json.cpp src/guest_channel.cpp)
target_link_libraries(understudy_spec_json PUBLIC understudy_messages Boost::json PRIVATE understudy_warnings)
# GCC 12 takes the inactive alternatives of a moved std::variant for uninitialised strings.
target_compile_options(understudy_spec_json PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
