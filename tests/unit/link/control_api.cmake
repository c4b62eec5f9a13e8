understudy_test(control_api_convert_test LABELS unit
  SOURCES control_api_convert_test.cpp LIBS understudy_control_api understudy_control_proto)
target_include_directories(control_api_convert_test PRIVATE ${CMAKE_SOURCE_DIR}/link/src)
set_target_properties(control_api_convert_test PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)  # gRPC asks for -pthread
understudy_test(control_api_loopback_test LABELS unit
  SOURCES control_api_loopback_test.cpp control_api_tls_test.cpp LIBS understudy_control_api)
target_include_directories(control_api_loopback_test PRIVATE ${CMAKE_SOURCE_DIR}/link/src)
