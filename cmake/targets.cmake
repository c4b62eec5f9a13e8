# Warnings are errors in our own code only: targets link understudy_warnings PRIVATE.
add_library(understudy_warnings INTERFACE)
target_compile_options(understudy_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-qual -Wformat=2 -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False at -O2 and above: operator+ of a literal and a string (GCC's bug 105651), an array filled by ranges::copy.
  target_compile_options(understudy_warnings INTERFACE
    "$<$<CONFIG:Release>:-Wno-restrict;-Wno-stringop-overflow>")
endif()

if(UNDERSTUDY_SANITIZE)
  add_compile_options(-fsanitize=${UNDERSTUDY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${UNDERSTUDY_SANITIZE})
  if(UNDERSTUDY_SANITIZE MATCHES "thread")
    add_compile_options(-Wno-tsan)  # Boost.Asio's fences; nothing of ours relies on them
  endif()
endif()
if(UNDERSTUDY_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

# understudy_core(<name> SOURCES...): a pure core. It sees common's types, link's plain messages and the
# standard library; that no other include directory is on its command line is what keeps it pure.
function(understudy_core name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC understudy_types understudy_messages PRIVATE understudy_warnings)
endfunction()
