# understudy_control_api: the control API over gRPC. Its public headers are plain C++; generated code and gRPC
# headers stay inside (they compile slowly).
set(control_api_generated ${CMAKE_CURRENT_BINARY_DIR}/control_api)
file(MAKE_DIRECTORY ${control_api_generated})
get_target_property(control_api_grpc_plugin gRPC::grpc_cpp_plugin LOCATION)
add_custom_command(
  OUTPUT ${control_api_generated}/control.pb.cc ${control_api_generated}/control.pb.h
         ${control_api_generated}/control.grpc.pb.cc ${control_api_generated}/control.grpc.pb.h
  COMMAND protobuf::protoc --proto_path=${CMAKE_CURRENT_SOURCE_DIR}/proto --cpp_out=${control_api_generated}
          --grpc_out=${control_api_generated} --plugin=protoc-gen-grpc=${control_api_grpc_plugin} control.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/proto/control.proto VERBATIM)

# Generated sources alone: our warnings do not apply to them.
add_library(understudy_control_proto STATIC ${control_api_generated}/control.pb.cc
            ${control_api_generated}/control.grpc.pb.cc)
target_include_directories(understudy_control_proto SYSTEM PUBLIC ${control_api_generated})
target_link_libraries(understudy_control_proto PUBLIC gRPC::grpc++ protobuf::libprotobuf)

# Status and event log as plain values: pure, so that the control-server's core can fill them in.
understudy_core(understudy_control_status src/control_api_status.cpp)

add_library(understudy_control_api STATIC
  src/control_api_convert_orders.cpp src/control_api_convert_reports.cpp src/control_api_convert_status.cpp
  src/control_api_channel.cpp src/control_api_client.cpp
  src/control_api_calls.cpp src/control_api_operator.cpp src/control_api_server.cpp)
target_link_libraries(understudy_control_api
  PUBLIC understudy_control_status understudy_tls understudy_common Boost::headers Threads::Threads
  PRIVATE understudy_control_proto understudy_warnings)
