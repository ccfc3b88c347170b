#include "formats/vmdk/sesparse_header.h"

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::vmdk {
namespace {

// Guest bytes that an entry of the directory stands for.
constexpr uint64_t kSeSparseSpan = kSeSparseTableEntries * kSeSparseGrain * kSector;

template <class... Args>
Error broken(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "seSparse header: " + fmt::format(text, std::forward<Args>(args)...)};
}

Result<void> expect_known_shape(const RawSeSparseHeader& raw) {
  if (raw.magic != kSeSparseMagic) {
    return Error(Errc::wrong_format, "seSparse header: no signature");
  }
  const auto unsupported = [](std::string_view what, uint64_t value) {
    return Error(Errc::unsupported,
                 fmt::format("seSparse header: unsupported {} {:#x}", what, value));
  };
  if (raw.version != kSeSparseVersion) return unsupported("version", raw.version);
  if (raw.grain_size != kSeSparseGrain) return unsupported("grain size", raw.grain_size);
  if (raw.table_size != kSeSparseTable) return unsupported("grain table size", raw.table_size);
  if (raw.flags != 0) return unsupported("flags", raw.flags);
  for (const le64 reserved : raw.reserved) {
    if (reserved != 0) return unsupported("extension", reserved);
  }
  return {};
}

// To bytes; the part begins behind the header, and need bytes of it are in the file.
Result<uint64_t> begin_of(const char* what, const RawSeSparsePart& part, uint64_t need,
                          uint64_t file_size) {
  const auto at = checked_mul(part.offset, kSector);
  if (!at || !fits(*at, need, file_size)) {
    return broken("the {} at sector {} is past the end of the file at {}", what,
                  uint64_t{part.offset}, file_size);
  }
  if (part.offset == 0) return broken("the {} lies over it", what);
  return *at;
}

// Of the disk, for which the directory must have entries.
Result<uint64_t> take_capacity(const RawSeSparseHeader& raw, uint64_t file_size) {
  const auto capacity = checked_mul(raw.capacity, kSector);
  if (!capacity || *capacity == 0 || *capacity > kMaxOffset) {
    return broken("a capacity of {} sectors", uint64_t{raw.capacity});
  }
  const auto directory = checked_mul(raw.directory.size, kSector);
  const uint64_t need = div_up(*capacity, kSeSparseSpan) * sizeof(le64);
  if (!directory || *directory < need) {
    return broken("a grain directory of {} sectors for a disk of {}", uint64_t{raw.directory.size},
                  uint64_t{raw.capacity});
  }
  TRY(begin_of("grain directory", raw.directory, need, file_size));
  return *capacity;
}

}  // namespace

Result<SeSparseHeader> parse_sesparse_header(const File& file) {
  SeSparseHeader out{.file_size = TRY(file.stat()).size};
  if (TRY(file.read_struct<le64>(0)) != kSeSparseMagic) {
    return Error(Errc::wrong_format, "seSparse header: no signature");
  }
  const auto raw = TRY(file.read_struct<RawSeSparseHeader>(0));
  TRY(expect_known_shape(raw));
  out.capacity = TRY(take_capacity(raw, out.file_size));
  out.directory = raw.directory.offset * kSector;
  out.tables = TRY(begin_of("grain tables", raw.tables, 0, out.file_size));
  out.grains = TRY(begin_of("grains", raw.grains, 0, out.file_size));
  const uint64_t changing =
      TRY(begin_of("volatile header", raw.volatile_header, kSector, out.file_size));
  const auto state = TRY(file.read_struct<RawSeSparseVolatile>(changing));
  if (state.magic != kSeSparseVolatileMagic) return broken("the volatile one has no signature");
  out.dirty = state.replay_journal != 0;
  return out;
}

}  // namespace platter::vmdk
