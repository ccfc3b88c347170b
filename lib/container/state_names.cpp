#include "lib/container/state_names.h"

#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

namespace platter {
namespace {

constexpr size_t kMaxEntry = 255;  // bytes, NAME_MAX
constexpr size_t kMaxId = 64;      // bytes of an id in an entry
constexpr size_t kMaxAgain = 12;   // bytes of the number behind it

// name, escaped, as much of it as fits: an escape is not cut, nor a character of UTF-8.
std::string escaped(std::string_view name, size_t limit) {
  std::string out;
  size_t whole = 0;  // where the last whole character ended
  const bool dots = name == "." || name == "..";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool escape =
        c == '%' || c == '/' || byte < 0x20 || byte == 0x7f || (dots && out.empty());
    const bool goes_on = (byte & 0xc0) == 0x80 && out.size() - whole < 4;
    if (!goes_on) whole = out.size();
    if (escape) {
      out += fmt::format("%{:02X}", byte);
    } else {
      out += c;
    }
    if (out.size() > limit) return out.substr(0, std::min(whole, limit));
  }
  return out;
}

// NAME@ID: what an entry is called whose name is taken or empty.
std::string with_id(std::string_view name, std::string_view id) {
  return escaped(name, kMaxEntry - 1 - kMaxId - kMaxAgain) + "@" + escaped(id, kMaxId);
}

}  // namespace

std::string escape_entry(std::string_view name) { return escaped(name, kMaxEntry); }

std::optional<std::string> unescape_entry(std::string_view entry) {
  std::string name;
  for (size_t i = 0; i < entry.size(); ++i) {
    if (entry[i] != '%') {
      name += entry[i];
      continue;
    }
    unsigned byte = 0;
    const char* const digits = entry.data() + i + 1;
    if (entry.size() - i < 3 || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) {
      return std::nullopt;
    }
    name += static_cast<char>(byte);
    i += 2;
  }
  // Nothing is escaped that need not be.
  if (name.empty() || escape_entry(name) != entry) return std::nullopt;
  return name;
}

std::vector<std::string> entry_names(const std::vector<EntryName>& names) {
  std::set<std::string> taken;
  // How often a NAME@ID came already: thousands of equal ones must not each count from one.
  std::map<std::string, size_t> used;
  std::vector<std::string> entries;
  for (const auto& [name, id] : names) {
    std::string entry = escape_entry(name);
    if (entry.empty() || taken.contains(entry)) {
      const std::string base = with_id(name, id);
      size_t& again = used[base];
      do {
        entry = ++again == 1 ? base : fmt::format("{}@{}", base, again);
      } while (taken.contains(entry));
    }
    taken.insert(entry);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace platter
