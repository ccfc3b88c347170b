// The two headers of a VHDX: which is current, and how it is replaced.
#pragma once

#include <array>
#include <optional>

#include "formats/vhdx/layout.h"
#include "lib/io/file.h"

namespace platter::vhdx {

struct Header {
  uint64_t sequence = 0;
  Uuid file_write, data_write;
  Uuid log;         // nil: the log is empty
  Range log_space;  // bytes; whole units
  uint16_t log_version = 0, version = kVersion;
  friend bool operator==(const Header&, const Header&) = default;
};

struct Headers {
  Header current;
  size_t slot = 0;                // where it is: the other one is the next to be written
  std::array<bool, 2> good = {};  // each by itself: signature and checksum are right
};

// [2.2.2.1] Errc::corrupt when neither is good, or both claim to be the newer one; unsupported for
// another version.
Result<Headers> read_headers(const File& file);

// Over the header that is not current; not durable before a sync. headers.current is then this one,
// with the next sequence number. What is in the other one has to be durable.
Result<void> write_header(File& file, Headers& headers, Header header);

// As write_header(), into both, one after the other; durable when it returns.
Result<void> write_both_headers(File& file, Headers& headers, const Header& header);

}  // namespace platter::vhdx
