// New images in every format that can be written: what is asked of a mount of one is asked of all.
#pragma once

#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace platter::test {

// How `platter create` makes one: "vdi", or "vdi_child", over a parent of the same format.
struct HowMade {
  std::string name, format;
  bool child = false;
};
// All there are, from the registry: a new format that can be written is among them by itself.
std::vector<HowMade> ways_to_make();
// Those whose images have no space yet for what nobody wrote.
std::vector<HowMade> sparse_ways_to_make();
// Those without a parent.
std::vector<HowMade> bases_to_make();

// For INSTANTIATE_TEST_SUITE_P.
void PrintTo(const HowMade& how, std::ostream* out);

class CreatedImage {
 public:
  // size: of the disk, bytes. A parent has data all over, none of it aligned to anything.
  CreatedImage(const HowMade& how, const std::string& directory, uint64_t size);

  const std::string& path() const { return path_; }
  const std::string& parent() const { return parent_; }  // empty: none
  // It is encrypted by what key_file() has.
  bool encrypted() const { return encrypted_; }
  const std::string& key_file() const { return key_file_; }
  // Of platterfs.
  std::vector<std::string> options(const std::vector<std::string>& more = {}) const;
  // What `platter check` says when that is neither "no errors" nor "leaks only"; else empty.
  std::string fault() const;

 private:
  std::string format_, path_, parent_, key_file_;
  bool encrypted_ = false;
};

}  // namespace platter::test
