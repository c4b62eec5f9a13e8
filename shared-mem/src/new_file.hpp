// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A region's file comes into being beside its name, and gets the name when it is whole.
///
///   allocate ──► NAME.new.PID.N, locked, all of its memory ──► (formatted) ──► give_name ──► NAME
///
/// Invariants
///  - A name leads to a whole region, at every instant.
///  - An unfinished file is locked (flock) while its maker lives, and left alone by everybody else. What a killed one
///    has left is not locked: whoever makes the same region next gives its memory back (unfinished.hpp). Nothing else
///    is removed, neither what has another name nor a whole region.
///  - Under Existing::Stays a name that leads to something is never made to lead elsewhere.

#include <cstdint>
#include <string>

#include "mapping.hpp"

namespace understudy::shm {

enum class Existing { Replaced, Stays };

class NewFile {
 public:
  /// Of its full size, with its memory allocated: no writer ever dies of SIGBUS in it. Full: there is no room.
  static Result<NewFile> allocate(const std::string& path, std::uint64_t bytes);
  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();  ///< without a name it goes

  [[nodiscard]] int fd() const { return file_.get(); }
  /// Refused: something has the name already, and it stays.
  Status give_name(Existing existing);

 private:
  NewFile(std::string path, std::string unfinished, Descriptor file)
      : path_(std::move(path)), unfinished_(std::move(unfinished)), file_(std::move(file)) {}
  static Result<NewFile> make(const std::string& path);

  std::string path_;
  std::string unfinished_;  ///< empty: it has its name, or was moved from
  Descriptor file_;
};

}  // namespace understudy::shm
