understudy_test(guests_test LABELS unit
  SOURCES guests/agent_channel_test.cpp guests/child_process_test.cpp guests/guest_logs_test.cpp
          guests/guest_record_test.cpp
          guests/qemu_command_test.cpp guests/qmp_client_test.cpp
  LIBS understudy_guests)
