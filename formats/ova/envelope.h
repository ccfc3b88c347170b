// The OVF envelope: which files and disks an appliance has (DMTF DSP0243).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace platter::ova {

// References/File.
struct OvfFile {
  std::string id;
  std::string href;              // the member's name
  std::optional<uint64_t> size;  // bytes; of the member as it is stored
  std::string compression;       // "gzip"; empty: none
  bool chunked = false;          // in several members
};

// DiskSection/Disk.
struct OvfDisk {
  std::string id;
  uint64_t capacity = 0;  // bytes; 0: not said as a number
  std::string file;       // an OvfFile's id; empty: the disk is blank
  std::string format;     // a URI
  std::string parent;     // an OvfDisk's id; empty: none
};

// Holds: no two files and no two disks have one id; parents are there, and none is its own
// ancestor.
struct Envelope {
  std::vector<OvfFile> files;
  std::vector<OvfDisk> disks;
  std::vector<std::string> systems;  // ids of the virtual systems
  std::vector<std::string> warnings;
};

// Errc::corrupt otherwise.
Result<Envelope> parse_envelope(std::vector<char> text);

}  // namespace platter::ova
