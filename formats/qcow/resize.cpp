// One write of a part of the first sector switches from the old size and L1 table to the new ones.
#include "formats/qcow/resize.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow/l2.h"
#include "formats/qcow/tables.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::qcow {
namespace {

Result<void> check_possible(const Header& header, uint64_t size) {
  if (size < header.size) {
    return Error(Errc::unsupported,
                 fmt::format("a qcow can only grow: it has {} bytes already", header.size));
  }
  if (!header.backing_file.empty()) {
    return Error(Errc::unsupported,
                 "a qcow cannot hide what its backing file may hold behind the end");
  }
  const uint64_t most = std::min(kMaxL1Entries << (header.cluster_bits + header.l2_bits),
                                 align_down(kMaxOffset, kSector));
  if (size <= most) return {};
  return Error(Errc::invalid,
               fmt::format("a disk of {} bytes is too large: with clusters of {} it can have {}",
                           size, human_size(header.cluster_size()), human_size(most)));
}

// The cluster the disk ends in goes on behind the end, with whatever its writer left there.
Result<void> zero_in_last_cluster(File& file, const Header& header, const Cipher* cipher,
                                  const Tables& tables, uint64_t table) {
  const uint64_t inside = header.size & (header.cluster_size() - 1);
  if (inside == 0) return {};
  const uint64_t index = (header.size >> header.cluster_bits) & (header.table_entries() - 1);
  be64 entry(0);
  TRY(file.read_padded(table + index * sizeof entry, std::as_writable_bytes(std::span(&entry, 1))));
  const Cluster last = decode(header, entry);
  if (last.kind != Cluster::Kind::data || last.host.offset >= header.file_size) return {};
  if (header.holds_any_of(last.host) || tables.hold_any_of(header, last.host)) {
    return Error(Errc::corrupt, "the last cluster of the disk lies over a table: repair it first");
  }
  std::vector<std::byte> zeroes(header.cluster_size() - inside);
  if (cipher != nullptr) TRY(cipher->encrypt(header.size, zeroes));
  return file.write(last.host.offset + inside, zeroes);
}

// Entries for what is behind the end, in the last table there is.
Result<void> clear_behind_the_end(File& file, const Header& header, const Cipher* cipher,
                                  const Tables& tables) {
  const uint64_t last = (header.size - 1) / header.table_span();
  const auto found = std::find_if(tables.sound.begin(), tables.sound.end(),
                                  [&](const auto& place) { return place.l1_index == last; });
  if (found == tables.sound.end()) return {};
  TRY(zero_in_last_cluster(file, header, cipher, tables, found->offset));
  const uint64_t used = div_up(header.size - last * header.table_span(), header.cluster_size());
  const Range behind{found->offset + used * sizeof(be64),
                     (header.table_entries() - used) * sizeof(be64)};
  return for_each_word(file, behind, [](uint64_t, uint64_t& word) -> Result<void> {
    word = 0;
    return {};
  });
}

// Into a hole at to.
Result<void> copy_table(File& file, const Range& from, uint64_t to) {
  std::vector<std::byte> piece;
  for (uint64_t at = from.offset; at < from.end(); at += piece.size()) {
    const File::Run run = TRY(file.run_at(at));
    const uint64_t left = std::min(run.range.end(), from.end()) - at;
    if (!run.data) {
      at += left;
      piece.clear();
      continue;
    }
    piece.resize(std::min(left, MiB));
    TRY(file.read_exact(at, piece));
    TRY(file.write(to + (at - from.offset), piece));
  }
  return {};
}

// The offset of the L1 table with that many entries.
Result<uint64_t> make_l1(File& file, const Header& header, const Tables& tables, uint64_t entries) {
  if (entries <= header.l1_entries) return header.l1_offset;
  const uint64_t size = TRY(file.stat()).size;
  const uint64_t at = align_up(std::max(size, tables.end(header)), header.cluster_size());
  TRY(file.resize(align_up(at + entries * sizeof(be64), header.cluster_size())));
  TRY(copy_table(file, header.l1(), at));
  return at;
}

// One write inside the first sector of the file.
Result<void> write_header(File& file, uint64_t size, uint64_t l1_offset) {
  constexpr size_t kFrom = offsetof(RawHeader, size);
  auto raw = TRY(file.read_struct<RawHeader>(0));
  raw.size = size;
  raw.l1_table_offset = l1_offset;
  return file.write(kFrom, as_bytes_of(raw).subspan(kFrom));
}

}  // namespace

Result<void> resize(File& file, const Header& header, const Cipher* cipher, uint64_t size) {
  // An earlier resize to this size need not be durable yet.
  if (align_up(std::min(size, kMaxOffset - kSector), kSector) == header.size) return file.sync();
  TRY(check_possible(header, size));
  const uint64_t rounded = align_up(size, kSector);
  const Tables tables = TRY(find_tables(file, header));
  TRY(tables.expect_sound());
  TRY(clear_behind_the_end(file, header, cipher, tables));
  const uint64_t l1_offset =
      TRY(make_l1(file, header, tables, div_up(rounded, header.table_span())));
  TRY(file.sync());
  TRY(write_header(file, rounded, l1_offset));
  return file.sync();
}

}  // namespace platter::qcow
