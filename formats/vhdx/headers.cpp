#include "formats/vhdx/headers.h"

#include <vector>

#include <fmt/format.h>

#include "lib/base/crc32c.h"

namespace platter::vhdx {
namespace {

using HeaderBytes = std::array<std::byte, kHeaderSize>;

bool is_good(HeaderBytes bytes) {
  const auto raw = load<RawHeader>(bytes);
  store(bytes, offsetof(RawHeader, checksum), le32(0));
  return raw.signature == kHeaderSignature && raw.checksum == crc32c(bytes);
}

Header decode_header(const HeaderBytes& bytes) {
  const auto raw = load<RawHeader>(bytes);
  return {.sequence = raw.sequence,
          .file_write = Uuid::from_microsoft(raw.file_write_guid),
          .data_write = Uuid::from_microsoft(raw.data_write_guid),
          .log = Uuid::from_microsoft(raw.log_guid),
          .log_space = {raw.log_offset, raw.log_length},
          .log_version = raw.log_version,
          .version = raw.version};
}

HeaderBytes encode_header(const Header& header) {
  RawHeader raw;
  raw.signature = kHeaderSignature;
  raw.sequence = header.sequence;
  raw.file_write_guid = header.file_write.to_microsoft();
  raw.data_write_guid = header.data_write.to_microsoft();
  raw.log_guid = header.log.to_microsoft();
  raw.log_version = header.log_version;
  raw.version = header.version;
  raw.log_length = static_cast<uint32_t>(header.log_space.length);
  raw.log_offset = header.log_space.offset;
  HeaderBytes bytes{};
  store(bytes, 0, raw);
  store(bytes, offsetof(RawHeader, checksum), le32(crc32c(bytes)));
  return bytes;
}

// Of two good ones.
Result<size_t> newer(const std::array<HeaderBytes, 2>& copies, uint64_t first, uint64_t second) {
  if (first != second) return size_t{first > second ? 0U : 1U};
  // Some programs write the same header twice.
  if (copies[0] == copies[1]) return size_t{0};
  return Error(Errc::corrupt,
               fmt::format("headers: both have the sequence number {} and differ", first));
}

Result<void> check_header(const Header& header) {
  if (header.version != kVersion) {
    return Error(Errc::unsupported, fmt::format("header: VHDX version {}", header.version));
  }
  if (!header.log.is_nil() && header.log_version != 0) {
    return Error(Errc::unsupported, fmt::format("header: log version {}", header.log_version));
  }
  const Range& log = header.log_space;
  if (log.offset % kUnit != 0 || log.length % kUnit != 0 || log.offset > kMaxOffset - log.length) {
    return Error(Errc::corrupt,
                 fmt::format("header: a log of {} bytes at {}", log.length, log.offset));
  }
  if (log.length != 0 && log.offset < kUnit) {
    return Error(Errc::corrupt, "header: the log lies in the header section");
  }
  if (!header.log.is_nil() && log.length == 0) {
    return Error(Errc::corrupt, "header: there is something in a log of 0 bytes");
  }
  return {};
}

}  // namespace

Result<Headers> read_headers(const File& file) {
  std::array<HeaderBytes, 2> copies{};
  std::array<Header, 2> read;
  Headers found;
  for (size_t i = 0; i < copies.size(); ++i) {
    TRY(file.read_padded(kHeadersAt[i], copies[i]));
    found.good[i] = is_good(copies[i]);
    read[i] = decode_header(copies[i]);
  }
  if (!found.good[0] && !found.good[1]) {
    return Error(Errc::corrupt, "headers: neither of the two is valid");
  }
  if (found.good[0] && found.good[1]) {
    found.slot = TRY(newer(copies, read[0].sequence, read[1].sequence));
  } else {
    found.slot = found.good[0] ? 0 : 1;
  }
  found.current = read[found.slot];
  TRY(check_header(found.current));
  return found;
}

Result<void> write_header(File& file, Headers& headers, Header header) {
  header.sequence = headers.current.sequence + 1;
  const size_t slot = 1 - headers.slot;
  TRY(file.write(kHeadersAt[slot], encode_header(header)));
  headers.current = header;
  headers.slot = slot;
  headers.good[slot] = true;
  return {};
}

Result<void> write_both_headers(File& file, Headers& headers, const Header& header) {
  for (int i = 0; i < 2; ++i) {
    Headers next = headers;
    TRY(write_header(file, next, header));
    TRY(file.sync());
    // Only now: else the next one could go over the last that is durable.
    headers = next;
  }
  return {};
}

}  // namespace platter::vhdx
