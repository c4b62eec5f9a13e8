# understudy_guests: QEMU runner, QMP, guest channel. For the host-agent of a standby.
add_library(understudy_guests STATIC
  edge/guests/accelerator.cpp
  edge/guests/agent_channel.cpp
  edge/guests/child_process.cpp
  edge/guests/echo_check.cpp
  edge/guests/guest.cpp
  edge/guests/guest_logs.cpp
  edge/guests/guest_record.cpp
  edge/guests/qemu_command.cpp
  edge/guests/qmp_client.cpp
  edge/guests/region_device.cpp
  edge/guests/shutdown_ladder.cpp)
target_include_directories(understudy_guests PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(understudy_guests
  PUBLIC understudy_common understudy_shm understudy_spec_json Threads::Threads
  PRIVATE understudy_warnings)
# GCC 12 takes the inactive alternatives of a moved std::variant for uninitialised strings.
target_compile_options(understudy_guests PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
