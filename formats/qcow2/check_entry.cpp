#include "formats/qcow2/check_entry.h"

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// Specification, "L1 table entry" and "Standard Cluster Descriptor": what must be zero.
constexpr uint64_t kReservedL1 = 0x7f00'0000'0000'01ff;
constexpr uint64_t kReservedL2 = 0x3f00'0000'0000'01fe;

uint32_t allocated_of(const L2Entry& entry) { return static_cast<uint32_t>(entry.bitmap); }
uint32_t zero_of(const L2Entry& entry) {
  return static_cast<uint32_t>(entry.bitmap >> kSubclusters);
}

// The entry without its cluster: what was in it reads as zeroes, for its bytes are nowhere. A
// version 2 image can only say that they are its parent's.
L2Entry without_cluster(const L2Shape& shape, const L2Entry& entry) {
  if (!shape.extended) return {.word = shape.version == 2 ? 0 : kZeroFlag};
  if ((entry.word & kCompressed) != 0) return {.bitmap = ~uint64_t{0} << kSubclusters};
  const uint64_t zero = zero_of(entry) | allocated_of(entry);
  return {.bitmap = zero << kSubclusters};
}

L2Check broken(const char* fault, Range held = {}) { return {.held = held, .fault = fault}; }

// The stream may go on a little past the end of the file: the last sector on paper. QEMU allows
// less than a cluster.
L2Check check_stream(const L2Shape& shape, const L2Entry& entry, const Allocation& found,
                     uint64_t file_size) {
  L2Check out{.held = {found.host, found.stored}};
  if (found.host < shape.cluster_size()) {
    out.fault = "is compressed into the header's cluster";
  } else if (found.host >= file_size) {
    out.fault = "has a compressed cluster past the end of the file";
  }
  if (out.fault != nullptr) {
    out.mended = without_cluster(shape, entry);
    return out;
  }
  const uint32_t offset_bits = 62 - (shape.cluster_bits - 8);
  if (out.held.end() >= file_size + shape.cluster_size()) {
    const uint64_t sectors =
        (align_up(file_size, kSector) - align_down(found.host, kSector)) / kSector;
    const uint64_t counted = (uint64_t{1} << 62) - (uint64_t{1} << offset_bits);
    out.held.length = file_size - found.host;
    out.fault = "has a compressed cluster that is longer than the file";
    out.mended = L2Entry{.word = (entry.word & ~counted & ~kCopied) | (sectors - 1) << offset_bits};
  } else if ((entry.word & kCopied) != 0) {
    out.fault = "is compressed and has the COPIED flag";
    out.mended = L2Entry{.word = entry.word & ~kCopied};
  }
  return out;
}

L2Check check_compressed(const L2Shape& shape, const L2Entry& entry, uint64_t file_size) {
  const L2Entry plain{.word = entry.word};
  const Allocation found = decode(shape, plain, 0);
  if (found.kind != Allocation::Kind::compressed) {
    L2Check out = broken(found.problem);
    if (!shape.external_data) out.mended = without_cluster(shape, entry);
    return out;
  }
  if (entry.bitmap != 0) {
    return broken("is compressed and has subclusters", {found.host, found.stored});
  }
  return check_stream(shape, entry, found, file_size);
}

// Specification, "Extended L2 Entries".
const char* check_subclusters(const L2Entry& entry, bool allocated) {
  if ((allocated_of(entry) & zero_of(entry)) != 0) {
    return "has subclusters both allocated and zero";
  }
  if (allocated_of(entry) != 0 && !allocated) return "has allocated subclusters but no cluster";
  return nullptr;
}

bool holds_data(const L2Shape& shape, const L2Entry& entry) {
  return shape.extended ? allocated_of(entry) != 0 : (entry.word & kZeroFlag) == 0;
}

// Of an image whose data lies in another file, at the same place as on the disk.
L2Check check_external(const L2Entry& entry, const EntryPlace& place) {
  const bool allocated = (entry.word & (kOffsetMask | kCopied)) != 0;
  if (!allocated) return {};
  if ((entry.word & kOffsetMask) != place.guest) {
    return broken("is not at its own place in the data file");
  }
  if ((entry.word & kCopied) != 0 || !place.active) return {};
  return {.fault = "lacks the COPIED flag, in an image with a data file",
          .mended = L2Entry{entry.word | kCopied, entry.bitmap}};
}

L2Check check_place(const L2Shape& shape, const L2Entry& entry, const EntryPlace& place) {
  const uint64_t host = entry.word & kOffsetMask;
  const Range cluster{host, shape.cluster_size()};
  if ((host & (shape.cluster_size() - 1)) != 0) {
    if (holds_data(shape, entry)) {
      L2Check out = broken("has an unaligned cluster", cluster);
      out.flagged = !shape.external_data;
      if (shape.external_data) out.held = {};
      return out;
    }
    L2Check out = broken("has an unaligned cluster, which holds nothing");
    out.mended = without_cluster(shape, entry);
    return out;
  }
  if (shape.external_data) return check_external(entry, place);
  if (host == 0) return {};
  L2Check out{.held = cluster, .flagged = true};
  if (host >= place.file_size) {
    out.fault = "has a cluster past the end of the file";
    out.mended = without_cluster(shape, entry);
  }
  return out;
}

}  // namespace

L2Shape shape_of(const Header& header) {
  return {.cluster_bits = header.cluster_bits,
          .version = header.version,
          .extended = header.extended_l2,
          .external_data = header.external_data};
}

L2Check check_entry(const L2Shape& shape, const L2Entry& entry, const EntryPlace& place) {
  if (entry.word == 0 && entry.bitmap == 0) return {};
  if ((entry.word & kCompressed) != 0) return check_compressed(shape, entry, place.file_size);
  // A bit that does not exist changes nothing of what the others say.
  const uint64_t reserved = kReservedL2 | (shape.version == 2 ? kZeroFlag : 0);
  const L2Entry known{entry.word & ~reserved, entry.bitmap};
  L2Check out = check_place(shape, known, place);
  const bool allocated =
      (known.word & kOffsetMask) != 0 || (shape.external_data && (known.word & kCopied) != 0);
  const char* const subclusters = shape.extended ? check_subclusters(known, allocated) : nullptr;
  if (subclusters != nullptr && out.fault == nullptr) out.fault = subclusters;
  if (out.fault == nullptr && known.word != entry.word) {
    const bool zero = shape.version == 2 && (entry.word & kZeroFlag) != 0;
    out.fault =
        zero ? "has a zero cluster, which version 2 does not know" : "has reserved bits set";
    out.mended = known;
  }
  return out;
}

L1Check check_l1_entry(const L2Shape& shape, uint64_t word, uint64_t file_size) {
  if (word == 0) return {};
  const uint64_t offset = word & kOffsetMask;
  L1Check out{.held = {offset, shape.cluster_size()}};
  if ((offset & (shape.cluster_size() - 1)) != 0) {
    out.fault = "points at an unaligned L2 table";
  } else if (offset == 0) {
    out.held = {};
    out.fault = "has flags, but points at no L2 table";
    out.mended = 0;
  } else if (offset >= file_size) {
    out.fault = "points at an L2 table past the end of the file";
    out.mended = 0;
  } else {
    out.followed = true;
    if ((word & kReservedL1) != 0) {
      out.fault = "has reserved bits set";
      out.mended = word & ~kReservedL1;
    }
  }
  return out;
}

}  // namespace platter::qcow2
