// The version is one field of the first sector. All else that a version decides is brought into a
// form both can read before that sector is written: zero clusters, which only version 3 knows,
// become clusters without a place, or full of zeroes over a backing file.
#include "formats/qcow2/amend.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow2/changes.h"
#include "formats/qcow2/check_walk.h"
#include "formats/qcow2/header_fields.h"
#include "formats/qcow2/header_replace.h"

namespace platter::qcow2 {
namespace {

constexpr uint32_t kRefcountOrderOfV2 = 4;

Error invalid_amendment(std::string_view name, std::string_view value, std::string_view wanted) {
  return {Errc::invalid, fmt::format("{}={}: {}", name, value, wanted)};
}

Error unsupported(std::string text) { return {Errc::unsupported, std::move(text)}; }

Result<void> take_option(const std::string& name, const std::string& value, const Header& header,
                         Amendment& wanted, std::optional<bool>& lazy) {
  if (name == "compat") {
    if (value != "0.10" && value != "1.1") {
      return invalid_amendment(name, value, "must be 0.10 or 1.1");
    }
    wanted.version = value == "0.10" ? 2 : 3;
    return {};
  }
  if (name == "lazy_refcounts") {
    if (value != "on" && value != "off") return invalid_amendment(name, value, "must be on or off");
    lazy = value == "on";
    return {};
  }
  if (name != "refcount_bits") return invalid_amendment(name, value, "is no option of amend");
  if (value == std::to_string(header.refcount_bits())) return {};
  return unsupported(
      fmt::format("refcount_bits={}: its refcounts have {} bits and keep them; "
                  "convert makes an image with others",
                  value, header.refcount_bits()));
}

// Specification, "Header": what came with version 3.
Result<void> check_features(const Header& header) {
  const auto only_in_3 = [](std::string_view what) {
    return unsupported(fmt::format("compat=0.10: it has {}, which only compat=1.1 has", what));
  };
  if (header.external_data) return only_in_3("an external data file");
  if (header.extended_l2) return only_in_3("extended L2 entries");
  if (header.compression != Compression::deflate) return only_in_3("zstd compression");
  if (header.refcount_order != kRefcountOrderOfV2) {
    return only_in_3(fmt::format("refcounts of {} bits", header.refcount_bits()));
  }
  if (header.bitmaps != 0) return only_in_3("dirty bitmaps");
  return {};
}

// A size of its own came with version 3, and so did room for a large state of the machine.
Result<void> check_snapshots(const Header& header, const std::vector<Snapshot>& snapshots) {
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.info.size != header.size || snapshot.info.vm_state > UINT32_MAX) {
      return unsupported(
          fmt::format("compat=0.10: snapshot \"{}\" has a size that only "
                      "compat=1.1 can say",
                      snapshot.info.name));
    }
  }
  return {};
}

bool has_zero_flag(const L2Entry& entry) {
  return (entry.word & kCompressed) == 0 && (entry.word & kZeroFlag) != 0;
}

// As far as nothing but the disk itself reaches them, zero clusters can be done away with.
Result<void> check_zero_flags(File& file, const Header& header,
                              const std::vector<Snapshot>& snapshots) {
  if (header.extended_l2) return {};
  TableWalk walk(file, header, snapshots);
  return walk.for_each_l2([&](const L2Use& use, L2Entries& entries) -> Result<void> {
    if (header.version == 3 && use.uses == use.active) return {};
    for (uint64_t i = 0; i < entries.size(); ++i) {
      if (!has_zero_flag(entries[i])) continue;
      if (header.version == 3) {
        return unsupported("compat=0.10: a snapshot has zero clusters, which only compat=1.1 has");
      }
      return Error(Errc::corrupt,
                   fmt::format("L1 table entry {}: L2 entry {} has a zero cluster, which version 2 "
                               "does not know: repair it first",
                               use.l1_index, i));
    }
    return {};
  });
}

}  // namespace

Result<Amendment> parse_amendment(const Metadata& options, const Header& header) {
  Amendment wanted{.version = header.version, .lazy_refcounts = header.lazy_refcounts};
  std::optional<bool> lazy;
  for (const auto& [name, value] : options) {
    TRY(take_option(name, value, header, wanted, lazy));
  }
  if (wanted.version == 2 && lazy.value_or(false)) {
    return Error(Errc::invalid, "lazy_refcounts=on: needs compat=1.1");
  }
  wanted.lazy_refcounts = wanted.version == 3 && lazy.value_or(wanted.lazy_refcounts);
  return wanted;
}

Result<void> check_amendment(File& file, const Header& header, const Amendment& wanted) {
  if (wanted.version == header.version) return {};
  if (wanted.version == 2) TRY(check_features(header));
  Header as_3 = header;
  as_3.version = 3;
  const SnapshotTable table = TRY(read_snapshot_table(file, as_3));
  // Version 3 wants fields of its entries that programs of old did not write.
  if (!table.fault.empty()) return unsupported(table.fault);
  for (const Snapshot& snapshot : table.list) {
    if (!snapshot.problem.empty()) return Error(Errc::corrupt, snapshot.problem);
  }
  if (wanted.version == 2) TRY(check_snapshots(header, table.list));
  return check_zero_flags(file, header, table.list);
}

Result<void> write_amended_header(File& file, const Header& header, const Amendment& wanted) {
  if (wanted.version == header.version) {
    if (wanted.lazy_refcounts != header.lazy_refcounts) {
      TRY(write_lazy_refcounts(file, wanted.lazy_refcounts));
    }
    return file.sync();
  }
  RawHeader raw = TRY(file.read_struct<RawHeader>(0));
  raw.version = wanted.version;
  raw.incompatible_features = 0;
  raw.compatible_features = wanted.lazy_refcounts ? kLazyRefcounts : 0;
  raw.autoclear_features = 0;
  raw.refcount_order = kRefcountOrderOfV2;
  raw.header_length = kHeaderV3Size;
  return replace_header(file, header, raw);
}

Result<void> Changes::amend(const Metadata& options) {
  TRY(expect_sound());
  const Header now = TRY(parse_header(*files_.image));
  const Amendment wanted = TRY(parse_amendment(options, now));
  TRY(check_amendment(*files_.image, now, wanted));
  if (wanted.version == 2 && now.version == 3) {
    TRY(begin());
    TRY(do_without_zero_clusters());
    // The second one writes what the first one freed.
    TRY(flush(true));
    TRY(flush(false));
  }
  return write_amended_header(*files_.image, TRY(parse_header(*files_.image)), wanted);
}

Result<void> Changes::do_without_zero_clusters() {
  for (uint64_t l1_index = 0; l1_index < l1_.entries(); ++l1_index) {
    const uint64_t empty = TRY(l1_.empty_run(l1_index));
    if (empty != 0) {
      l1_index += empty - 1;
      continue;
    }
    const uint64_t table = TRY(l1_.entry(l1_index)) & kOffsetMask;
    for (uint64_t i = 0; i < uint64_t{1} << shape_.table_bits(); ++i) {
      if (has_zero_flag(TRY(entry_at(table, i)))) TRY(do_without_zero_cluster(l1_index, i));
    }
    if (wants_flush()) TRY(flush(true));
  }
  return {};
}

Result<void> Changes::do_without_zero_cluster(uint64_t l1_index, uint64_t l2_index) {
  const uint64_t l2 = TRY(own_l2(l1_index));
  const L2Entry old = TRY(entry_at(l2, l2_index));
  const uint64_t guest = (l1_index << shape_.table_bits() | l2_index) << shape_.cluster_bits;
  const Place place = place_of(guest);
  if (header_.backing_file.empty() || guest >= disk_size_) {
    TRY(store_entry(l2, place, {}));
    drop(old);
    return {};
  }
  const Target target = TRY(target_of(old, place, 1));
  const Cipher* const cipher = files_.cipher.cipher.get();
  if (!target.zeroed || cipher != nullptr) {
    std::vector<std::byte> zeroes(shape_.cluster_size());
    if (cipher != nullptr) {
      TRY(cipher->encrypt(files_.cipher.tweak(guest, target.host), zeroes));
    }
    TRY(files_.data->write(target.host, zeroes));
  }
  data_reaches(target.host + shape_.cluster_size());
  TRY(store_entry(l2, place, {.word = target.host | kCopied}));
  if (target.fresh) drop(old);
  return {};
}

}  // namespace platter::qcow2
