// While several sectors of a text change, both texts lie behind it:
//
//     kSign, the lengths of old and new text, their checksum; padded to a sector
//     old text, new text
//
// They count only while every sector of the text itself is one of the two: another program that
// changed it since has the last word. Other programs read up to the NUL in front and see none of
// it.
#include "formats/vmdk/descriptor_store.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>
#include <zlib.h>

#include "formats/vmdk/layout.h"
#include "lib/base/checked.h"

namespace platter::vmdk {
namespace {

constexpr std::string_view kSign("\0platter: texts\n", 16);

struct CopiesHeader {
  std::array<char, 16> sign = {};
  le32 old_length, new_length;
  le32 checksum;  // CRC-32 of both texts
};
static_assert(DiskStruct<CopiesHeader>);

uint32_t checksum_of(std::string_view text) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

std::string_view up_to_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

std::string sector_of(std::string_view text, size_t at) {
  std::string sector(at < text.size() ? text.substr(at, kSector) : std::string_view());
  sector.resize(kSector, '\0');
  return sector;
}

// Each sector of area up to the end of the longer text is that of one of them.
bool made_of(std::string_view area, std::string_view one, std::string_view other) {
  for (size_t at = 0; at < std::max(one.size(), other.size()); at += kSector) {
    const std::string sector = sector_of(area, at);
    if (sector != sector_of(one, at) && sector != sector_of(other, at)) return false;
  }
  return true;
}

struct Copies {
  std::string_view old_text, new_text;
};

// Those in area that count.
std::optional<Copies> find_copies(std::string_view area) {
  for (size_t at = kSector; at + kSector <= area.size(); at += kSector) {
    if (!area.substr(at).starts_with(kSign)) continue;
    CopiesHeader header;
    std::memcpy(&header, area.data() + at, sizeof header);
    const std::string_view rest = area.substr(at + kSector);
    const uint64_t length = uint64_t{header.old_length} + header.new_length;
    if (length > rest.size() || checksum_of(rest.substr(0, length)) != header.checksum) continue;
    const Copies found{rest.substr(0, header.old_length),
                       rest.substr(header.old_length, header.new_length)};
    if (made_of(area.substr(0, at), found.old_text, found.new_text)) return found;
  }
  return std::nullopt;
}

std::string copies_of(std::string_view old_text, std::string_view new_text) {
  CopiesHeader header;
  std::copy(kSign.begin(), kSign.end(), header.sign.begin());
  header.old_length = static_cast<uint32_t>(old_text.size());
  header.new_length = static_cast<uint32_t>(new_text.size());
  std::string texts(old_text);
  texts += new_text;
  header.checksum = checksum_of(texts);
  std::string out(kSector, '\0');
  std::memcpy(out.data(), &header, sizeof header);
  return out + texts;
}

size_t changed_sectors(const std::string& from, const std::string& to) {
  size_t count = 0;
  for (size_t at = 0; at < to.size(); at += kSector) {
    if (sector_of(from, at) != sector_of(to, at)) ++count;
  }
  return count;
}

}  // namespace

Result<std::string> DescriptorStore::read_area() const {
  const uint64_t size = area_ ? area_->length : TRY(file_->stat()).size;
  if (size > 4 * kMaxArea) {
    return Error(Errc::corrupt, fmt::format("descriptor: {} bytes are too many for one", size));
  }
  std::string area(size, '\0');
  TRY(file_->read_padded(area_ ? area_->offset : 0, std::as_writable_bytes(std::span(area))));
  return area;
}

Result<std::string> DescriptorStore::read() const {
  const std::string area = TRY(read_area());
  const auto copies = find_copies(area);
  const std::string_view text = copies ? copies->new_text : up_to_nul(area);
  if (text.size() > kMaxArea) {
    return Error(Errc::corrupt,
                 fmt::format("descriptor: a text of {} bytes is too long", text.size()));
  }
  return std::string(text);
}

Result<void> DescriptorStore::write(uint64_t at, std::string_view bytes) {
  return file_->write((area_ ? area_->offset : 0) + at, std::as_bytes(std::span(bytes)));
}

// Whether the shorter length is durable says nothing of the text: NULs are behind it.
Result<void> DescriptorStore::cut(uint64_t size) {
  if (area_ || TRY(file_->stat()).size == size) return {};
  return file_->resize(size);
}

Result<void> DescriptorStore::write_changed_sectors(const std::string& from,
                                                    const std::string& to) {
  for (size_t at = 0; at < to.size(); at += kSector) {
    const size_t end = std::min<size_t>(at + kSector, to.size());
    const auto same = [&](size_t i) { return i < from.size() && from[i] == to[i]; };
    size_t first = at, last = end;
    while (first < end && same(first)) ++first;
    while (last > first && same(last - 1)) --last;
    if (first < last) TRY(write(first, std::string_view(to).substr(first, last - first)));
  }
  return file_->sync();
}

Result<void> DescriptorStore::write_with_copies(const std::string& from, const std::string& text,
                                                const std::string& to) {
  const std::string old_text(up_to_nul(from));
  const std::string copies = copies_of(old_text, text);
  const uint64_t at = div_up(std::max(old_text.size(), text.size()), kSector) * kSector;
  if (area_ && !fits(at, copies.size(), area_->length)) {
    return Error(Errc::no_space,
                 fmt::format("descriptor: a text of {} bytes cannot be changed to one of {} in {} "
                             "bytes",
                             old_text.size(), text.size(), area_->length));
  }
  // What other programs left behind the NUL would make its sector neither text's.
  const std::string_view behind = std::string_view(from).substr(old_text.size());
  if (behind.substr(0, at - old_text.size()).find_first_not_of('\0') != std::string_view::npos) {
    TRY(write(old_text.size(), std::string(at - old_text.size(), '\0')));
  }
  TRY(write(at, copies));
  TRY(file_->sync());
  return write_over(to.substr(0, std::min<uint64_t>(to.size(), at)), {at, copies.size()});
}

// The copies lie at that place, and are not needed any more when it returns.
Result<void> DescriptorStore::write_over(const std::string& text, const Range& copies) {
  TRY(write(0, text));
  TRY(file_->sync());
  return write(copies.offset, std::string(copies.length, '\0'));
}

Result<void> DescriptorStore::replace(const std::string& text, Torn torn) {
  if (text.size() > kMaxArea || (area_ && text.size() > area_->length)) {
    return Error(Errc::no_space, fmt::format("descriptor: {} bytes do not fit", text.size()));
  }
  std::string from = TRY(read_area());
  if (const auto copies = find_copies(from)) {
    // What was cut short is finished first.
    std::string now(copies->new_text);
    now.resize(div_up(std::max(copies->old_text.size(), now.size()), kSector) * kSector, '\0');
    TRY(write_over(now, {now.size(), kSector + copies->old_text.size() + copies->new_text.size()}));
    from = TRY(read_area());
  }
  // What is behind the text is NULs, if it is anything.
  std::string to = text;
  to.resize(std::max<uint64_t>(text.size(), up_to_nul(from).size()), '\0');
  if (to.size() < from.size()) to.resize(std::min(from.size(), to.size() + 1), '\0');
  const bool small = changed_sectors(from.substr(0, to.size()), to) <= 1;
  if (small || (torn == Torn::harmless && text.size() == up_to_nul(from).size())) {
    TRY(write_changed_sectors(from, to));
  } else {
    TRY(write_with_copies(from, text, to));
  }
  return cut(text.size());
}

}  // namespace platter::vmdk
