// Tar archives and appliances byte by byte, right and wrong ones. Knows the offsets of the formats
// by number, so that it checks the structures of formats/ova instead of sharing them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/memory_file.h"

namespace platter::test {

class TarBuilder {
 public:
  struct Entry {
    std::string name, content;
    char type = '0';
    bool gnu = false;                               // its magic; numbers in base 256
    std::string prefix = {};                        // POSIX only
    std::map<size_t, std::string> fields = {};      // put over the header, before its checksum
    std::map<size_t, std::string> afterwards = {};  // and after it
  };

  TarBuilder& add(Entry entry);
  TarBuilder& add(const std::string& name, const std::string& content) {
    return add({.name = name, .content = content});
  }
  // ended: with two blocks of zeroes.
  std::string build(bool ended = true) const { return text_ + std::string(ended ? 1024 : 0, '\0'); }
  std::shared_ptr<MemoryFile> file() const;

 private:
  std::string text_;
};

// "LENGTH KEY=VALUE\n"
std::string pax_record(const std::string& key, const std::string& value);

struct OvaBuilder {
  struct Disk {
    std::string member, content;
    uint64_t capacity = 0;    // bytes
    std::string parent = {};  // a disk's id
    std::string file_attributes = {}, disk_attributes = {};
  };
  std::vector<Disk> disks;    // with the ids "disk1", "disk2" …
  bool manifest = true;       // with SHA-256
  std::string envelope = {};  // instead of the right one

  std::string build() const;
};

}  // namespace platter::test
