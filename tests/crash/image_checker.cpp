// SPDX-License-Identifier: Apache-2.0
/// shm_image_checker FILE COPY: opens the image in FILE, and goes on writing a copy of it, as the expected states and
/// the change in flight say that come on its input (image_text.hpp); prints what it found.
#include <iostream>

#include "image_text.hpp"

using namespace understudy::shm::crash;

int main(int argc, char** argv) {
  Expected before;
  Expected after;
  std::vector<Step> in_flight;
  if (argc != 3 || !read_from(std::cin, before) || !read_from(std::cin, after) || !read_from(std::cin, in_flight)) {
    return 2;
  }
  Told told;
  if (const auto found = check_reader(argv[1], before, after, told.violations)) {
    told.found = true;
    told.committed = found->committed;
    copy_image(argv[1], argv[2]);
    check_next_writer(argv[2], *found, in_flight, told.violations);
  }
  std::cout << text_of(told);
  return 0;
}
