understudy_test(guests_test LABELS unit
  SOURCES guests/accelerator_test.cpp guests/agent_channel_test.cpp guests/child_process_test.cpp
          guests/echo_check_test.cpp guests/guest_greeting_test.cpp guests/guest_logs_test.cpp
          guests/guest_record_test.cpp guests/qemu_command_test.cpp guests/qmp_client_test.cpp guests/region_device_test.cpp
  LIBS understudy_guests)
# Not in a library: the daemon alone has it.
understudy_test(host_drill_test LABELS unit
  SOURCES drill_test.cpp ${PROJECT_SOURCE_DIR}/host-agent/edge/drill.cpp
  LIBS understudy_guests)
