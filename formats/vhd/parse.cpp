#include "formats/vhd/parse.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "formats/vhd/footer.h"
#include "formats/vhd/geometry.h"
#include "formats/vhd/utf16.h"

namespace platter::vhd {
namespace {

constexpr uint64_t kMaxLocator = 64 * KiB;

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, fmt::format(text, std::forward<Args>(args)...)};
}

Result<void> expect_version(const char* where, uint32_t version) {
  if (version >> 16 == kVersion >> 16) return {};
  return Error(Errc::unsupported, fmt::format("{}: unsupported VHD version {}.{}", where,
                                              version >> 16, version & 0xffff));
}

bool is_known(Type type) {
  return type == Type::fixed || type == Type::dynamic || type == Type::differencing;
}

Result<void> take_footer(const ChosenFooter& chosen, Parsed& out) {
  out.footer = chosen.footer;
  out.footer_sound = chosen.sound;
  out.trailing = chosen.trailing;
  out.copy_fits = chosen.copy_fits;
  out.data_end = chosen.data_end;
  out.uuid.bytes = out.footer.uuid;
  TRY(expect_version("footer", out.footer.version));
  out.type = static_cast<Type>(uint32_t{out.footer.type});
  if (!is_known(out.type)) return corrupt("footer: disk type {}", uint32_t{out.footer.type});
  const uint64_t current = out.footer.current_size;
  if (current == 0 || current % kSector != 0 || current > kMaxDiskSize) {
    return corrupt("footer: a disk of {} bytes", current);
  }
  out.disk_size = disk_size(out.footer);
  return {};
}

Result<void> check_header(const DynamicHeader& header) {
  if (header.cookie != kHeaderCookie) return corrupt("dynamic header: no signature");
  TRY(expect_version("dynamic header", header.version));
  const uint32_t block_size = header.block_size;
  if (!std::has_single_bit(block_size) || block_size < kMinBlockSize ||
      block_size > kMaxBlockSize) {
    return corrupt("dynamic header: blocks of {} bytes", block_size);
  }
  return {};
}

// The header has to be there, and the table where nothing else is.
Result<void> check_table(const Parsed& p) {
  const uint64_t mapped = uint64_t{p.entries} * p.block_size;
  if (mapped < p.disk_size) {
    return corrupt(
        "block allocation table: too small: its {} blocks hold {} bytes, the disk has {}",
        p.entries, mapped, p.disk_size);
  }
  const uint64_t length = 4 * uint64_t{p.entries};
  if (!fits(p.table_offset, length, p.data_end)) {
    return corrupt(
        "block allocation table: at {} ({} bytes), it ends past the end of the data at {}",
        p.table_offset, length, p.data_end);
  }
  const Range table{p.table_offset, length};
  if (!intersect(table, {0, kSector}).empty() ||
      !intersect(table, {p.header_offset, sizeof(DynamicHeader)}).empty()) {
    return corrupt("block allocation table: at {}, it lies over the headers", p.table_offset);
  }
  return {};
}

Result<void> take_header(const File& file, Parsed& out) {
  out.header_offset = out.footer.header_offset;
  if (out.header_offset < kSector ||
      !fits(out.header_offset, sizeof(DynamicHeader), out.data_end)) {
    return corrupt("footer: the dynamic header at {} is not inside the file", out.header_offset);
  }
  out.header = TRY(file.read_struct<DynamicHeader>(out.header_offset));
  TRY(check_header(out.header));
  out.header_sound = is_sound(out.header);
  out.table_offset = out.header.table_offset;
  out.entries = out.header.entries;
  out.block_size = out.header.block_size;
  return check_table(out);
}

// Virtual PC and Hyper-V say how many bytes there are for a text, the specification says sectors.
uint64_t space_of(const ParentLocator& locator) {
  const uint64_t space = locator.space, length = locator.length;
  return space > 0 && space < 16 && space * kSector >= length ? space * kSector
                                                              : std::max(space, length);
}

Result<std::string> locator_text(const File& file, const std::string& code, const Range& where) {
  std::vector<std::byte> bytes(where.length);
  TRY(file.read_exact(where.offset, bytes));
  if (code == "W2ru" || code == "W2ku") return text_of_utf16(bytes, UnitOrder::little);
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

Result<void> take_locators(const File& file, Parsed& out) {
  for (const ParentLocator& entry : out.header.locators) {
    if (std::ranges::all_of(entry.code, [](char c) { return c == '\0'; })) continue;
    Locator locator{.code = {entry.code.begin(), entry.code.end()},
                    .where = {entry.offset, entry.length}};
    if (entry.length > kMaxLocator || !fits(entry.offset, entry.length, out.data_end)) {
      out.warnings.push_back(
          fmt::format("dynamic header: the parent locator at {} ({} bytes) is not inside the file",
                      uint64_t{entry.offset}, uint32_t{entry.length}));
      continue;
    }
    const uint64_t behind = out.data_end - locator.where.offset;
    locator.space = {locator.where.offset, std::min(space_of(entry), behind)};
    // An alias of a Mac is no text.
    if (locator.code != "Mac ") {
      locator.text = TRY(locator_text(file, locator.code, locator.where));
    }
    out.locators.push_back(std::move(locator));
  }
  return {};
}

Result<void> take_parent(const File& file, Parsed& out) {
  out.parent_uuid.bytes = out.header.parent_uuid;
  out.parent_name = text_of_utf16(as_bytes_of(out.header.parent_name), UnitOrder::big);
  return take_locators(file, out);
}

// Those whose disks everybody takes to be as large as the footer says in bytes.
bool is_known_creator(std::string_view creator) {
  using namespace std::string_view_literals;
  static constexpr std::array kKnown = {"vpc "sv,  "vs  "sv, "qemu"sv,  "qem2"sv, "win "sv,
                                        "d2v\0"sv, "d2v "sv, "tap\0"sv, "CTXS"sv, "vbox"sv};
  return std::ranges::find(kKnown, creator) != kKnown.end();
}

void warn_of_size(Parsed& p) {
  const DiskGeometry& g = p.footer.geometry;
  const uint64_t by_geometry = bytes_of(g), current = p.footer.current_size;
  if (is_known_creator({p.footer.creator.data(), 4}) || is_largest(g) || by_geometry == 0) return;
  const uint64_t cylinder = uint64_t{g.heads} * g.sectors * kSector;
  const uint64_t apart = by_geometry > current ? by_geometry - current : current - by_geometry;
  if (apart <= cylinder) return;
  p.warnings.push_back(
      fmt::format("footer: the size is {} bytes, the geometry says {}: some "
                  "programs take that for the size",
                  current, by_geometry));
}

void warn(Parsed& p) {
  if (!p.footer_sound) p.warnings.emplace_back("footer: the checksum is wrong");
  if (!p.header_sound) p.warnings.emplace_back("dynamic header: the checksum is wrong");
  if (!p.trailing && p.data_end != p.file_size) {
    p.warnings.emplace_back("the footer at the end is damaged: its copy at the start is used");
  } else if (!p.trailing) {
    p.warnings.emplace_back(
        "the footer at the end is missing: its copy at the start is used; the file may have been "
        "cut");
  } else if (!p.copy_fits) {
    p.warnings.emplace_back("the copy of the footer at the start is not the same");
  }
  if (p.type == Type::fixed && p.data_end < p.disk_size) {
    p.warnings.push_back(
        fmt::format("the file holds {} bytes of the disk, which has {}: the rest "
                    "reads as zeroes",
                    p.data_end, p.disk_size));
  }
  if (p.uuid.is_nil()) p.warnings.emplace_back("footer: the image has no UUID");
  warn_of_size(p);
}

}  // namespace

std::vector<Range> Parsed::places() const {
  std::vector<Range> all{
      {0, kSector}, {header_offset, sizeof(DynamicHeader)}, {table_offset, 4 * uint64_t{entries}}};
  for (const Locator& locator : locators) {
    const Range both = hull(locator.where, locator.space);
    if (!both.empty()) all.push_back(both);
  }
  return all;
}

Result<Parsed> parse(const File& file) {
  Parsed out;
  out.file_size = TRY(file.stat()).size;
  const ChosenFooter chosen = TRY(choose_footer(file, out.file_size));
  TRY(take_footer(chosen, out));
  if (out.type != Type::fixed) TRY(take_header(file, out));
  if (out.type == Type::differencing) TRY(take_parent(file, out));
  warn(out);
  return out;
}

}  // namespace platter::vhd
