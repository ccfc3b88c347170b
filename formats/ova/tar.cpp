// A member is a header of 512 bytes and its data, padded to 512. Headers of other kinds come before
// that of a member and say what its own fields have no room for: pax records ("x", of all that
// follow "g"), and GNU tar's long names ("L").
#include "formats/ova/tar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::ova {
namespace {

constexpr uint64_t kBlock = 512;
constexpr uint64_t kMaxName = 1024;         // bytes
constexpr uint64_t kMaxRecords = 64 * KiB;  // bytes of pax records before one member

// POSIX.1-2017, pax, "ustar Interchange Format".
struct TarHeader {
  std::array<char, 100> name = {};
  std::array<char, 24> mode_and_owners = {};
  std::array<char, 12> size = {};
  std::array<char, 12> mtime = {};
  std::array<char, 8> checksum = {};
  char type = 0;
  std::array<char, 100> link = {};
  std::array<char, 6> magic = {};  // "ustar" and NUL; GNU tar: a space
  std::array<char, 2> version = {};
  std::array<char, 80> owner_names_and_devices = {};
  std::array<char, 155> prefix = {};  // of the name; not GNU tar's
  std::array<char, 12> padding = {};
};
static_assert(sizeof(TarHeader) == kBlock && DiskStruct<TarHeader>);
static_assert(offsetof(TarHeader, magic) == 257 && offsetof(TarHeader, prefix) == 345);

template <size_t kSize>
std::string_view text_of(const std::array<char, kSize>& field) {
  const auto end = std::find(field.begin(), field.end(), '\0');
  return {field.data(), static_cast<size_t>(end - field.begin())};
}

// Octal text; or, with the highest bit set, a number in big-endian. Empty: neither, or too large.
template <size_t kSize>
std::optional<uint64_t> tar_number(const std::array<char, kSize>& field) {
  uint64_t value = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    for (size_t i = 0; i < kSize; ++i) {
      const auto byte = static_cast<unsigned char>(field[i]);
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | (i == 0 ? byte & 0x7f : byte);
    }
    return value;
  }
  std::string_view digits = text_of(field);
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  digits = digits.substr(0, digits.find(' '));
  if (digits.empty()) return 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, 8);
  if (error != std::errc() || end != digits.end() || value > kMaxOffset) return std::nullopt;
  return value;
}

bool is_header(const TarHeader& header) {
  return std::string_view(header.magic.data(), 5) == "ustar";
}

// The sum of the header's bytes, those of the sum itself counted as blanks.
bool has_its_checksum(const TarHeader& header) {
  uint64_t sum = 0;
  for (const std::byte b : as_bytes_of(header)) sum += std::to_integer<uint64_t>(b);
  for (const char c : header.checksum) sum += uint64_t{' '} - static_cast<unsigned char>(c);
  return tar_number(header.checksum) == sum;
}

std::string own_name(const TarHeader& header) {
  std::string name(text_of(header.name));
  const bool posix = header.magic[5] == '\0';
  const std::string_view prefix = text_of(header.prefix);
  if (posix && !prefix.empty()) name = std::string(prefix) + "/" + name;
  return name;
}

// What the headers before a member say of it.
struct Said {
  std::optional<std::string> name;
  std::optional<uint64_t> size;
};

// "LENGTH KEY=VALUE\n", the length is that of all of it. False: damaged.
bool read_records(std::string_view text, Said& said, bool& sparse) {
  while (!text.empty()) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), length);
    const auto digits = static_cast<size_t>(end - text.begin());
    if (error != std::errc() || length > text.size() || length < digits + 2) return false;
    const std::string_view record = text.substr(digits, length - digits);
    const size_t equals = record.find('=');
    if (record.front() != ' ' || record.back() != '\n' || equals == record.npos) return false;
    const std::string_view key = record.substr(1, equals - 1);
    const std::string_view value = record.substr(equals + 1, record.size() - equals - 2);
    if (key == "path") said.name = value;
    if (key == "size") {
      uint64_t size = 0;
      const auto parsed = std::from_chars(value.begin(), value.end(), size);
      if (parsed.ec != std::errc() || parsed.ptr != value.end()) return false;
      said.size = size;
    }
    sparse = sparse || key.starts_with("GNU.sparse.");
    text.remove_prefix(length);
  }
  return true;
}

bool leads_elsewhere(std::string_view name) {
  if (name.empty() || name.front() == '/') return true;
  for (;;) {
    const size_t slash = name.find('/');
    if (name.substr(0, slash) == "..") return true;
    if (slash == name.npos) return false;
    name.remove_prefix(slash + 1);
  }
}

class TarReader {
 public:
  TarReader(const File& file, uint64_t size) : file_(file), size_(size) {}

  Result<std::vector<TarMember>> run() {
    while (at_ < size_) {
      // An end without its two blocks of zeroes is put up with.
      if (size_ - at_ < kBlock) break;
      const auto header = TRY(file_.read_struct<TarHeader>(at_));
      if (header.name[0] == '\0' && !is_header(header)) break;
      if (!is_header(header) || !has_its_checksum(header)) {
        if (at_ == 0) return Error(Errc::wrong_format, "tar: has no header");
        return corrupt("its header is damaged");
      }
      TRY(entry(header));
    }
    return std::move(members_);
  }

 private:
  Error corrupt(std::string_view what) const {
    return {Errc::corrupt, fmt::format("tar: entry {} (at {}): {}", entries_, at_, what)};
  }

  Result<void> entry(const TarHeader& header) {
    ++entries_;
    const bool of_a_member = header.type != 'x' && header.type != 'g' && header.type != 'L';
    if (entries_ > 4 * kMaxMembers) return corrupt("more than 40000 entries");
    std::optional<uint64_t> size = tar_number(header.size);
    if (of_a_member && next_.size) size = next_.size;
    if (of_a_member && !next_.size && all_.size) size = all_.size;
    const uint64_t start = at_ + kBlock;
    if (!size || !fits(start, *size, size_)) return corrupt("lies past the end of the file");
    const Range data{start, *size};
    if (!of_a_member) {
      TRY(records(header.type, data));
    } else {
      TRY(member(header, data));
    }
    at_ = std::min(size_, align_up(data.end(), kBlock));
    return {};
  }

  Result<void> records(char type, const Range& data) {
    if (data.length > (type == 'L' ? kMaxName + 1 : kMaxRecords)) return corrupt("is too long");
    std::string text(data.length, '\0');
    TRY(file_.read_exact(data.offset, std::as_writable_bytes(std::span(text))));
    if (type == 'L') {
      next_.name = text.substr(0, text.find('\0'));
      return {};
    }
    bool sparse = false;
    if (!read_records(text, type == 'g' ? all_ : next_, sparse)) {
      return corrupt("its pax records are damaged");
    }
    if (sparse) return Error(Errc::unsupported, "tar: sparse members are not read");
    return {};
  }

  Result<void> member(const TarHeader& header, const Range& data) {
    std::string name = next_.name ? *next_.name : all_.name ? *all_.name : own_name(header);
    next_ = {};
    while (name.starts_with("./")) name.erase(0, 2);
    switch (header.type) {
      case '0':
      case '\0':
      case '7': break;  // "7": contiguous, to who cares
      case '5': return {};
      case 'S': return Error(Errc::unsupported, "tar: sparse members are not read");
      default: return corrupt(fmt::format("\"{}\" is no file", printable(name)));
    }
    if (name.size() > kMaxName) return corrupt("its name is too long");
    if (leads_elsewhere(name)) {
      return corrupt(fmt::format("the name \"{}\" leads out of the archive", printable(name)));
    }
    if (members_.size() == kMaxMembers) return corrupt("more than 10000 members");
    if (!names_.insert(name).second) {
      return corrupt(fmt::format("\"{}\" is there twice", printable(name)));
    }
    members_.push_back({std::move(name), data});
    return {};
  }

  const File& file_;
  const uint64_t size_;
  uint64_t at_ = 0;
  uint64_t entries_ = 0;
  Said next_, all_;
  std::vector<TarMember> members_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<std::vector<TarMember>> read_tar(const File& file) {
  return TarReader(file, TRY(file.stat()).size).run();
}

bool has_ending(std::string_view name, std::string_view ending) {
  if (name.size() < ending.size()) return false;
  name.remove_prefix(name.size() - ending.size());
  return std::equal(name.begin(), name.end(), ending.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
  });
}

std::string first_member(Bytes head) {
  Said said;
  bool sparse = false;
  while (head.size() >= kBlock) {
    const auto header = load<TarHeader>(head);
    if (!is_header(header) || !has_its_checksum(header)) return {};
    const bool records = header.type == 'x' || header.type == 'g';
    if (!records && header.type != 'L') return said.name ? *said.name : own_name(header);
    const std::optional<uint64_t> size = tar_number(header.size);
    head = head.subspan(kBlock);
    if (!size || *size > head.size()) return {};
    const std::string_view text(reinterpret_cast<const char*>(head.data()), *size);
    if (records && !read_records(text, said, sparse)) return {};
    if (!records) said.name = text.substr(0, text.find('\0'));
    head = head.subspan(std::min<uint64_t>(head.size(), align_up(*size, kBlock)));
  }
  return {};
}

}  // namespace platter::ova
