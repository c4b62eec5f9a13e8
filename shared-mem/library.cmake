# libunderstudy: the region and the application's side of a failover in one shared library, for C++ and C. What an
# application needs and nothing of the agents.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(understudy_c STATIC src/c_api/arena.cpp src/c_api/handles.cpp src/c_api/journal.cpp
  src/c_api/lifecycle.cpp src/c_api/region.cpp src/c_api/store.cpp src/c_api/writer.cpp)
target_link_libraries(understudy_c PUBLIC understudy_shm understudy_lifecycle PRIVATE understudy_warnings)

set(understudy_parts understudy_types understudy_shm understudy_lifecycle understudy_c)
set_target_properties(${understudy_parts} PROPERTIES POSITION_INDEPENDENT_CODE ON)
add_library(understudy_library SHARED src/c_api/library.cpp)
# The linker takes a part of a static library only when something asks for it; here everything is asked for.
foreach(part IN LISTS understudy_parts)
  target_link_options(understudy_library PRIVATE "LINKER:--whole-archive,$<TARGET_FILE:${part}>,--no-whole-archive")
  set_property(TARGET understudy_library APPEND PROPERTY LINK_DEPENDS $<TARGET_FILE:${part}>)
endforeach()
add_dependencies(understudy_library ${understudy_parts})
target_link_libraries(understudy_library PRIVATE Boost::json)
# Until 1.0 a minor version may be another library (SameMinorVersion below says the same to CMake).
set(understudy_abi ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(understudy_abi 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(understudy_library PROPERTIES OUTPUT_NAME understudy EXPORT_NAME understudy VERSION ${PROJECT_VERSION}
  SOVERSION ${understudy_abi})
target_compile_features(understudy_library INTERFACE cxx_std_20)
target_include_directories(understudy_library INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/common/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

set(headers_dir ${CMAKE_INSTALL_INCLUDEDIR}/understudy)
install(TARGETS understudy_library EXPORT understudy LIBRARY COMPONENT library NAMELINK_COMPONENT devel)
install(FILES include/understudy/understudy.h DESTINATION ${headers_dir} COMPONENT devel)
install(FILES include/understudy/c/arena.h include/understudy/c/journal.h include/understudy/c/lifecycle.h
  include/understudy/c/region.h include/understudy/c/status.h include/understudy/c/store.h include/understudy/c/writer.h
  DESTINATION ${headers_dir}/c COMPONENT devel)
install(FILES include/understudy/shm/arena.hpp include/understudy/shm/full_tables.hpp
  include/understudy/shm/region.hpp include/understudy/shm/schema.hpp
  include/understudy/shm/typed_table.hpp
  DESTINATION ${headers_dir}/shm COMPONENT devel)
install(FILES include/understudy/app/lifecycle.hpp include/understudy/app/commit_mirrored.hpp
  DESTINATION ${headers_dir}/app COMPONENT devel)
install(FILES ${PROJECT_SOURCE_DIR}/common/include/understudy/common/boot_clock.hpp
  ${PROJECT_SOURCE_DIR}/common/include/understudy/common/result.hpp
  ${PROJECT_SOURCE_DIR}/common/include/understudy/common/types.hpp
  DESTINATION ${headers_dir}/common COMPONENT devel)

install(EXPORT understudy NAMESPACE understudy:: FILE understudy-config.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/understudy COMPONENT devel)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/understudy-config-version.cmake
  COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH pc_prefix_from_here /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # so that an installed tree may move
configure_file(understudy.pc.in understudy.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/understudy-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/understudy COMPONENT devel)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/understudy.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT devel)
