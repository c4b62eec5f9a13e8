# Application <-> agent: Lifecycle (an application's side) and Supervisor (the agent's).
add_library(understudy_lifecycle STATIC
  src/app/commit_mirrored.cpp
  src/app/messages.cpp
  src/app/lifecycle.cpp
  src/app/process.cpp
  src/app/store_fits.cpp
  src/app/connection.cpp
  src/app/supervisor.cpp)
target_include_directories(understudy_lifecycle PUBLIC include PRIVATE src/app)
target_link_libraries(understudy_lifecycle
  PUBLIC understudy_types understudy_shm Boost::headers Threads::Threads
  PRIVATE Boost::json understudy_warnings)
