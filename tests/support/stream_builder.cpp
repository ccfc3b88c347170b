#include "tests/support/stream_builder.h"

#include <algorithm>

#include <fmt/format.h>
#include <zlib.h>

#include "lib/base/checked.h"
#include "tests/support/bytes.h"

namespace platter::test {
namespace {

constexpr uint64_t kS = 512, kPerTable = 512, kSectorsOfATable = 4, kOverhead = 16;

template <class Int>
void put_word(std::vector<std::byte>& out, uint64_t at, uint64_t value) {
  if (out.size() < at + sizeof(Int)) out.resize(at + sizeof(Int));
  if constexpr (sizeof(Int) == 4) {
    store(out, at, le32(static_cast<uint32_t>(value)));
  } else {
    store(out, at, le64(value));
  }
}

// One stream, as it grows.
class StreamBytes {
 public:
  explicit StreamBytes(const StreamBuilder& b) : b_(b) {
    for (const auto& [grain, value] : b.grains) used_[grain / kPerTable];
    for (const auto& [grain, entry] : b.entries) used_[grain / kPerTable];
  }

  std::vector<std::byte> build() {
    const bool front = b_.tables == StreamBuilder::Tables::in_front;
    out_.resize(kOverhead * kS);
    put_header(0, front ? kOverhead : ~uint64_t{0});
    put_descriptor();
    if (front) out_.resize((kOverhead + directory_sectors() + kSectorsOfATable * count()) * kS);
    const uint64_t from = out_.size() / kS;
    put_word<uint64_t>(out_, 64, from);
    for (const auto& [grain, value] : b_.grains) put_grain(grain, value);
    if (front) put_tables_in_front();
    if (b_.tables == StreamBuilder::Tables::behind) put_tables_behind(from);
    for (const auto& [at, value] : b_.header64) put_word<uint64_t>(out_, at, value);
    for (const auto& [at, value] : b_.header32) put_word<uint32_t>(out_, at, value);
    append(out_, bytes_of(b_.behind));
    if (b_.cut_behind) out_.resize(*b_.cut_behind);
    return out_;
  }

 private:
  uint64_t count() const { return div_up(b_.sectors, kPerTable * b_.grain); }
  uint64_t directory_sectors() const { return div_up(count(), 128); }
  uint64_t end() const { return out_.size() / kS; }
  void pad() { out_.resize(align_up(out_.size(), kS)); }

  void put_header(uint64_t at, uint64_t directory) {
    const bool front = b_.tables == StreamBuilder::Tables::in_front;
    put_word<uint32_t>(out_, at, 0x564d444b);
    put_word<uint32_t>(out_, at + 4, 3);
    put_word<uint32_t>(out_, at + 8, front ? 0x30003 : 0x30001);
    put_word<uint64_t>(out_, at + 12, b_.sectors);
    put_word<uint64_t>(out_, at + 20, b_.grain);
    put_word<uint64_t>(out_, at + 28, 1);
    put_word<uint64_t>(out_, at + 36, 2);
    put_word<uint32_t>(out_, at + 44, kPerTable);
    put_word<uint64_t>(out_, at + 56, directory);
    put_word<uint64_t>(out_, at + 64, kOverhead);
    put_word<uint32_t>(out_, at + 73, 0x0a0d200a);
    put_word<uint32_t>(out_, at + 77, 1);
    out_.resize(std::max<size_t>(out_.size(), at + kS));
  }

  void put_descriptor() {
    const std::string text = fmt::format(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        "createType=\"streamOptimized\"\nRDONLY {} SPARSE \"stream.vmdk\"\n",
        b_.sectors);
    std::ranges::copy(bytes_of(text), out_.begin() + kS);
  }

  template <class Value, class Fallback>
  static Value chosen(const std::map<uint64_t, Value>& map, uint64_t key, Fallback fallback) {
    const auto found = map.find(key);
    return found == map.end() ? static_cast<Value>(fallback) : found->second;
  }

  void put_grain(uint64_t grain, int value) {
    const std::string bytes(b_.grain * kS, static_cast<char>(value));
    const std::string stream =
        chosen(b_.streams, grain, zlib_of(chosen(b_.plain, grain, std::string_view(bytes))));
    const uint64_t at = out_.size();
    b_.grain_at[grain] = at;
    put_word<uint64_t>(out_, at, chosen(b_.firsts, grain, grain * b_.grain));
    put_word<uint32_t>(out_, at + 8, chosen(b_.sizes, grain, stream.size()));
    append(out_, bytes_of(stream));
    pad();
  }

  void put_table(uint64_t at, uint64_t index) {
    if (out_.size() < at + kSectorsOfATable * kS) out_.resize(at + kSectorsOfATable * kS);
    for (uint64_t i = 0; i < kPerTable; ++i) {
      const uint64_t grain = index * kPerTable + i;
      const auto place = b_.grain_at.find(grain);
      const uint64_t sector = place == b_.grain_at.end() ? 0 : place->second / kS;
      put_word<uint32_t>(out_, at + 4 * i, chosen(b_.entries, grain, sector));
    }
    used_[index] = at / kS;
  }

  void put_directory(uint64_t at) {
    if (out_.size() < at + directory_sectors() * kS) out_.resize(at + directory_sectors() * kS);
    for (const auto& [index, sector] : used_) put_word<uint32_t>(out_, at + 4 * index, sector);
    for (const auto& [index, sector] : b_.directory)
      put_word<uint32_t>(out_, at + 4 * index, sector);
  }

  void put_marker(uint64_t value, uint32_t type) {
    const uint64_t at = out_.size();
    out_.resize(at + kS);
    put_word<uint64_t>(out_, at, value);
    put_word<uint32_t>(out_, at + 12, type);
  }

  void put_tables_in_front() {
    for (uint64_t i = 0; i < count(); ++i) {
      put_table((kOverhead + directory_sectors() + kSectorsOfATable * i) * kS, i);
    }
    put_directory(kOverhead * kS);
  }

  void put_tables_behind(uint64_t overhead) {
    for (auto& [index, sector] : used_) {
      put_marker(kSectorsOfATable, 1);
      put_table(out_.size(), index);
    }
    put_marker(directory_sectors(), 2);
    const uint64_t directory = end();
    put_directory(out_.size());
    b_.footer_at = out_.size();
    put_marker(1, 3);
    const uint64_t at = out_.size();
    put_header(at, directory);
    put_word<uint64_t>(out_, at + 64, overhead);
    for (const auto& [offset, value] : b_.footer64) put_word<uint64_t>(out_, at + offset, value);
    for (const auto& [offset, value] : b_.footer32) put_word<uint32_t>(out_, at + offset, value);
    put_marker(0, 0);
  }

  const StreamBuilder& b_;
  std::vector<std::byte> out_;
  std::map<uint64_t, uint64_t> used_;  // tables, and the sectors at which they begin
};

}  // namespace

std::vector<std::byte> StreamBuilder::build() const {
  grain_at.clear();
  return StreamBytes(*this).build();
}

std::shared_ptr<MemoryFile> StreamBuilder::file(const std::string& name) const {
  return std::make_shared<MemoryFile>(name, build());
}

std::string zlib_of(const std::string& text) {
  uLongf length = compressBound(text.size());
  std::string out(length, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &length,
            reinterpret_cast<const Bytef*>(text.data()), text.size(), 9);
  out.resize(length);
  return out;
}

}  // namespace platter::test
