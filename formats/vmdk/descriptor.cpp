#include "formats/vmdk/descriptor.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "formats/vmdk/layout.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";
constexpr std::string_view kFirstLine = "# disk descriptorfile";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  return out;
}

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The next line, with its end, taken off the text.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end);
  return line;
}

// The next word, taken off the text.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

bool is_comment_or_blank(std::string_view line) { return line.empty() || line.front() == '#'; }

std::optional<ExtentLine::Access> access_of(std::string_view word) {
  const std::string name = upper_case(word);
  if (name == "RW") return ExtentLine::Access::read_write;
  if (name == "RDONLY") return ExtentLine::Access::read_only;
  if (name == "NOACCESS") return ExtentLine::Access::none;
  return std::nullopt;
}

// "version" and what it says, of the first line that is no comment; empty: there is none.
std::optional<std::string_view> version_of(std::string_view head) {
  while (!head.empty()) {
    const std::string_view line = trimmed(take_line(head));
    if (is_comment_or_blank(line)) continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    if (lower_case(trimmed(line.substr(0, equals))) != "version") return std::nullopt;
    return trimmed(line.substr(equals + 1));
  }
  return std::nullopt;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

bool fits_in_quotes(std::string_view value) {
  return value.find_first_of(std::string_view("\"\r\n\0", 4)) == std::string_view::npos;
}

bool Descriptor::is_one(std::string_view head) {
  if (lower_case(head.substr(0, kFirstLine.size())) == kFirstLine) return true;
  const auto version = version_of(head.substr(0, head.find('\0')));
  return version && number<uint32_t>(*version).has_value();
}

Result<Descriptor> Descriptor::parse(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  const auto version = version_of(text);
  const auto known = version ? number<uint32_t>(*version) : std::nullopt;
  if (!known) return Error(Errc::corrupt, "descriptor: does not begin with its version");
  if (*known < 1 || *known > 3) {
    return Error(Errc::unsupported, fmt::format("descriptor: unsupported version {}", *known));
  }
  Descriptor out;
  while (!text.empty()) TRY(out.add(take_line(text)));
  if (out.extents_.empty()) return Error(Errc::corrupt, "descriptor: names no extent");
  return out;
}

Descriptor::Line Descriptor::make_line(std::string_view text) {
  Line line{.text = std::string(text), .key = {}};
  const size_t equals = text.find('=');
  if (is_comment_or_blank(trimmed(text)) || equals == std::string_view::npos) return line;
  line.key = lower_case(trimmed(text.substr(0, equals)));
  std::string_view value = trimmed(text.substr(equals + 1));
  if (value.empty()) {
    line.value = {equals + 1, 0};
    return line;
  }
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  line.value = {static_cast<uint64_t>(value.data() - text.data()), value.size()};
  return line;
}

Result<void> Descriptor::add(std::string_view text) {
  std::string_view rest = text;
  const std::string_view first = take_word(rest);
  if (access_of(first)) TRY(add_extent(text));
  lines_.push_back(make_line(text));
  if (access_of(first)) lines_.back().key.clear();
  return {};
}

Result<void> Descriptor::add_extent(std::string_view line) {
  const auto wrong = [&](std::string_view what) {
    return Error(Errc::corrupt, fmt::format("descriptor: extent {}: {}", extents_.size(), what));
  };
  if (extents_.size() == kMaxExtents) {
    return Error(Errc::unsupported,
                 fmt::format("descriptor: more than {} extents", size_t{kMaxExtents}));
  }
  ExtentLine extent;
  extent.access = *access_of(take_word(line));
  const auto sectors = number<uint64_t>(take_word(line));
  if (!sectors || *sectors == 0) return wrong("has no size");
  if (*sectors > (kMaxOffset - disk_size_) / kSector) return wrong("is too large");
  extent.sectors = *sectors;
  extent.type = upper_case(take_word(line));
  if (extent.type.empty()) return wrong("has no type");
  line = trimmed(line);
  if (!line.empty()) {
    const size_t end = line.front() == '"' ? line.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return wrong("names a file without quotes");
    extent.file = line.substr(1, end - 1);
    line.remove_prefix(end + 1);
    const std::string_view offset = take_word(line);
    const auto value = number<uint64_t>(offset);
    if (!offset.empty() && (!value || *value > kMaxOffset / kSector)) {
      return wrong("has an offset that cannot be");
    }
    extent.offset = value.value_or(0);
  }
  disk_size_ += extent.sectors * kSector;
  extents_.push_back(std::move(extent));
  extent_lines_.push_back(lines_.size());
  return {};
}

std::string Descriptor::text() const {
  std::string out;
  for (const Line& line : lines_) out += line.text;
  return out;
}

Descriptor::Line* Descriptor::find(std::string_view key) {
  const auto found = std::find_if(lines_.begin(), lines_.end(), [&](const Line& line) {
    return !line.key.empty() && line.key == lower_case(key);
  });
  return found == lines_.end() ? nullptr : &*found;
}

std::optional<std::string> Descriptor::value(std::string_view key) const {
  const std::string wanted = lower_case(key);
  for (const Line& line : lines_) {
    if (line.key.empty() || line.key != wanted) continue;
    return line.text.substr(line.value.offset, line.value.length);
  }
  return std::nullopt;
}

std::optional<std::string> Descriptor::hex_value(std::string_view key) const {
  const auto text = value(key);
  const auto bits = text ? number<uint32_t>(trimmed(*text), 16) : std::nullopt;
  if (!bits) return std::nullopt;
  return fmt::format("{:08x}", *bits);
}

std::optional<Uuid> Descriptor::uuid_value(std::string_view key) const {
  const auto text = value(key);
  const auto uuid = text ? Uuid::parse(trimmed(*text)) : std::nullopt;
  return uuid && !uuid->is_nil() ? uuid : std::nullopt;
}

std::optional<Geometry> Descriptor::geometry(std::string_view cylinders, std::string_view heads,
                                             std::string_view sectors) const {
  std::array<uint32_t, 3> numbers{};
  const std::array keys = {cylinders, heads, sectors};
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto text = value("ddb.geometry." + std::string(keys[i]));
    const auto found = text ? number<uint32_t>(trimmed(*text)) : std::nullopt;
    if (!found) return std::nullopt;
    numbers[i] = *found;
  }
  // Zero cylinders: nobody has set it.
  if (numbers[0] == 0) return std::nullopt;
  return Geometry{numbers[0], numbers[1], numbers[2]};
}

void Descriptor::set(std::string_view key, std::string_view value) {
  if (Line* line = find(key)) {
    std::string text = line->text;
    const bool quoted = line->value.offset > 0 && text[line->value.offset - 1] == '"';
    std::string now(value);
    // A value that has become empty, or was, must not take its quotes for itself.
    if (!quoted && line->value.length == 0) now = fmt::format("\"{}\"", value);
    text.replace(line->value.offset, line->value.length, now);
    *line = make_line(text);
    return;
  }
  const std::string text = fmt::format("{} = \"{}\"\n", key, value);
  auto at = lines_.end();
  const bool of_the_disk = lower_case(key).starts_with("ddb.");
  if (!of_the_disk && !extent_lines_.empty()) {
    at = lines_.begin() + static_cast<long>(extent_lines_.front());
    while (at != lines_.begin() && std::prev(at)->key.empty()) --at;
    for (size_t& line : extent_lines_) ++line;
  }
  // The last line may lack its end.
  if (at == lines_.end() && !lines_.empty() && !lines_.back().text.ends_with('\n')) {
    lines_.back().text += '\n';
  }
  std::string written = text;
  // Other programs know these keys without blanks.
  if (!of_the_disk) written = fmt::format("{}=\"{}\"\n", key, value);
  lines_.insert(at, make_line(written));
}

void Descriptor::remove(std::string_view key) {
  while (const Line* line = find(key)) {
    const auto index = static_cast<size_t>(line - lines_.data());
    lines_.erase(lines_.begin() + static_cast<long>(index));
    for (size_t& extent : extent_lines_) {
      if (extent > index) --extent;
    }
  }
}

void Descriptor::set_sectors(size_t index, uint64_t sectors) {
  std::string& text = lines_[extent_lines_[index]].text;
  std::string_view rest = text;
  (void)take_word(rest);
  const std::string_view old = take_word(rest);
  const auto at = static_cast<size_t>(old.data() - text.data());
  text.replace(at, old.size(), std::to_string(sectors));
  disk_size_ += (sectors - extents_[index].sectors) * kSector;
  extents_[index].sectors = sectors;
}

}  // namespace platter::vmdk
