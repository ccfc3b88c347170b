#include "lib/container/state_names.h"

#include <set>

#include <fmt/format.h>

namespace platter {
namespace {

constexpr size_t kMaxEntry = 255;  // bytes, NAME_MAX

std::string with_id(const std::string& entry, std::string_view id) {
  const std::string suffix = "@" + escape_entry(id);
  return entry.substr(0, kMaxEntry - std::min(kMaxEntry, suffix.size())) + suffix;
}

}  // namespace

std::string escape_entry(std::string_view name) {
  std::string out;
  const bool dots = name == "." || name == "..";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%' || c == '/' || byte < 0x20 || byte == 0x7f || (dots && out.empty())) {
      out += fmt::format("%{:02X}", byte);
    } else {
      out += c;
    }
    if (out.size() > kMaxEntry) break;
  }
  return out.substr(0, kMaxEntry);
}

std::vector<std::string> entry_names(const std::vector<EntryName>& names) {
  std::set<std::string> taken;
  std::vector<std::string> entries;
  for (const auto& [name, id] : names) {
    std::string entry = escape_entry(name);
    for (size_t again = 1; entry.empty() || taken.contains(entry); ++again) {
      const std::string suffix = again == 1 ? id : fmt::format("{}@{}", id, again);
      entry = with_id(escape_entry(name), suffix);
    }
    taken.insert(entry);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace platter
