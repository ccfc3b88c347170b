#include "formats/vhd/footer.h"

#include <algorithm>
#include <numeric>

namespace platter::vhd {
namespace {

struct Seen {
  Footer footer;
  bool sound = false;
};

bool has_cookie(const Footer& footer) { return footer.cookie == kFooterCookie; }

bool has_header(const Footer& footer) {
  return footer.type == static_cast<uint32_t>(Type::dynamic) ||
         footer.type == static_cast<uint32_t>(Type::differencing);
}

// bytes: 512, or 511 of a footer whose last byte was never written.
std::optional<Seen> footer_in(Bytes bytes) {
  Seen seen;
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(&seen.footer, 1)).begin());
  if (!has_cookie(seen.footer)) return std::nullopt;
  seen.sound = is_sound(seen.footer);
  return seen;
}

// length: of the footer that was found.
std::optional<Seen> footer_at_end(Bytes tail, uint64_t& length) {
  for (length = sizeof(Footer); length >= kShortFooter; --length) {
    if (tail.size() < length) continue;
    if (const auto seen = footer_in(tail.last(length))) return seen;
  }
  length = 0;
  return std::nullopt;
}

std::optional<Seen> footer_at_start(Bytes head) {
  if (head.size() < sizeof(Footer)) return std::nullopt;
  const auto seen = footer_in(head.first(sizeof(Footer)));
  return seen && has_header(seen->footer) ? seen : std::nullopt;
}

// Its size says so, whatever its checksum does.
bool ends_a_fixed_disk(const Footer& footer, uint64_t data_end) {
  return footer.type == static_cast<uint32_t>(Type::fixed) && footer.current_size == data_end;
}

bool same(const Footer& trailing, const Footer& copy, uint64_t length) {
  const Bytes a = as_bytes_of(trailing), b = as_bytes_of(copy);
  return std::ranges::equal(a.first(length), b.first(length));
}

}  // namespace

uint32_t checksum_of(Bytes bytes, size_t field) {
  const auto sum = [](uint32_t total, std::byte b) { return total + std::to_integer<uint32_t>(b); };
  const uint32_t front =
      std::accumulate(bytes.begin(), bytes.begin() + static_cast<long>(field), uint32_t{0}, sum);
  return ~std::accumulate(bytes.begin() + static_cast<long>(field + sizeof(be32)), bytes.end(),
                          front, sum);
}

bool is_sound(const Footer& footer) {
  return footer.checksum == checksum_of(as_bytes_of(footer), offsetof(Footer, checksum));
}

bool is_sound(const DynamicHeader& header) {
  return header.checksum == checksum_of(as_bytes_of(header), offsetof(DynamicHeader, checksum));
}

Footer sealed(Footer footer) {
  footer.checksum = checksum_of(as_bytes_of(footer), offsetof(Footer, checksum));
  return footer;
}

DynamicHeader sealed(DynamicHeader header) {
  header.checksum = checksum_of(as_bytes_of(header), offsetof(DynamicHeader, checksum));
  return header;
}

Result<ChosenFooter> choose_footer(const File& file, uint64_t file_size) {
  std::array<std::byte, sizeof(Footer)> first{}, last{};
  const uint64_t n = std::min<uint64_t>(file_size, sizeof(Footer));
  TRY(file.read_exact(0, MutableBytes(first).first(n)));
  TRY(file.read_exact(file_size - n, MutableBytes(last).first(n)));
  uint64_t length = 0;
  const auto trailing = footer_at_end(Bytes(last).first(n), length);
  const auto copy = footer_at_start(Bytes(first).first(n));
  ChosenFooter chosen{.data_end = file_size - length};
  const bool fixed = trailing && ends_a_fixed_disk(trailing->footer, chosen.data_end);
  if (trailing && (trailing->sound || fixed || !copy || !copy->sound)) {
    chosen.footer = trailing->footer;
    chosen.sound = trailing->sound;
    chosen.copy_fits =
        !has_header(trailing->footer) || (copy && same(trailing->footer, copy->footer, length));
    return chosen;
  }
  if (!copy) return Error(Errc::wrong_format, "footer: none");
  chosen.footer = copy->footer;
  chosen.sound = copy->sound;
  chosen.trailing = false;
  if (trailing) return chosen;
  chosen.data_end = file_size;
  return chosen;
}

Match probe_footer(const ProbeInput& input) {
  uint64_t length = 0;
  const auto trailing = footer_at_end(input.tail, length);
  // A piece of one that ends in its header is no disk.
  const bool has_header = input.size >= sizeof(Footer) + sizeof(DynamicHeader) + sizeof(Footer);
  const auto copy = has_header ? footer_at_start(input.head) : std::nullopt;
  if (!trailing && !copy) return Match::no;
  return (trailing && trailing->sound) || (copy && copy->sound) ? Match::sure : Match::weak;
}

}  // namespace platter::vhd
