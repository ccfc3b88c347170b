#include "tools/info_text.h"

#include <algorithm>
#include <ctime>
#include <ostream>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lib/base/range.h"
#include "lib/base/text.h"

namespace platter {
namespace {

using nlohmann::json;

void print_line(std::ostream& out, std::string_view what, std::string_view value) {
  out << fmt::format("{:<17} {}\n", fmt::format("{}:", what), value);
}

std::string size_text(const json& value) {
  const auto bytes = value.get<uint64_t>();
  if (bytes < KiB) return fmt::format("{} bytes", bytes);
  return fmt::format("{} ({} bytes)", human_size(bytes), bytes);
}

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

// "2026-11-21 22:16:41 UTC"; what no calendar has is printed as seconds.
std::string time_text(const json& seconds) {
  const auto time = seconds.get<int64_t>();
  std::tm parts = {};
  const std::time_t value = time;
  if (gmtime_r(&value, &parts) == nullptr) return fmt::format("{} s", time);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", parts);
}

// Rows of cells, each column as wide as its widest cell; the last one is not padded.
void print_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("  {:<{}}", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

std::string format_text(const json& info) {
  std::string text = info.at("format").get<std::string>();
  const auto variant = info.at("variant").get<std::string>();
  if (!variant.empty()) text += fmt::format(", {}", variant);
  if (info.at("guessed").get<bool>()) text += " (a guess: no format claims the file)";
  return text;
}

void print_id(std::ostream& out, std::string_view what, const json& id) {
  if (!id.is_null()) print_line(out, what, id.get<std::string>());
}

void print_parent(std::ostream& out, const json& info) {
  if (!info.at("parent").is_null()) {
    std::string text = info.at("parent").get<std::string>();
    if (!info.at("parent_format").is_null()) {
      text += fmt::format(" ({})", info.at("parent_format").get<std::string>());
    }
    print_line(out, "parent", text);
  }
  print_id(out, "parent uuid", info.at("parent_uuid"));
  print_id(out, "parent mod. id", info.at("parent_modification_uuid"));
}

std::string list_of(const json& texts) {
  std::string line;
  for (const json& text : texts) line += (line.empty() ? "" : ", ") + text.get<std::string>();
  return line;
}

void print_features(std::ostream& out, const json& info) {
  for (const char* kind : {"incompatible", "compatible", "autoclear"}) {
    const json& names = info.at("features").at(kind);
    if (!names.empty()) print_line(out, kind, list_of(names));
  }
}

void print_bitmaps(std::ostream& out, const json& bitmaps) {
  if (bitmaps.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"NAME", "GRANULARITY", "FLAGS"}};
  for (const json& bitmap : bitmaps) {
    rows.push_back({bitmap.at("name").get<std::string>(),
                    human_size(bitmap.at("granularity").get<uint64_t>()),
                    list_of(bitmap.at("flags"))});
  }
  out << "bitmaps:\n";
  print_table(out, rows);
}

void print_geometry(std::ostream& out, const json& info) {
  for (const auto& [name, g] : info.at("geometry").items()) {
    if (g.is_null()) continue;
    print_line(out, name == "pchs" ? "physical chs" : "logical chs",
               fmt::format("{}/{}/{}", g.at("cylinders").get<uint32_t>(),
                           g.at("heads").get<uint32_t>(), g.at("sectors").get<uint32_t>()));
  }
}

void print_partitions(std::ostream& out, const json& info) {
  if (!info.contains("partitions") || info.at("partitions").empty()) return;
  std::vector<std::vector<std::string>> rows = {{"NUMBER", "START", "SIZE", "TYPE", "NAME"}};
  for (const json& p : info.at("partitions")) {
    rows.push_back({p.at("number").dump(), p.at("start").dump(),
                    human_size(p.at("length").get<uint64_t>()), p.at("type").get<std::string>(),
                    p.at("name").get<std::string>()});
  }
  out << fmt::format("partitions ({}):\n", info.at("partition_table").get<std::string>());
  print_table(out, rows);
}

void print_chain(std::ostream& out, const json& info) {
  if (!info.contains("chain")) return;
  std::vector<std::vector<std::string>> rows = {
      {"DEPTH", "FORMAT", "VIRTUAL SIZE", "ALLOCATED", "FILE"}};
  for (const json& layer : info.at("chain")) {
    rows.push_back({std::to_string(rows.size() - 1), layer.at("format").get<std::string>(),
                    human_size(layer.at("virtual_size").get<uint64_t>()),
                    human_size(layer.at("allocated_size").get<uint64_t>()),
                    layer.at("file").get<std::string>()});
  }
  out << "chain:\n";
  print_table(out, rows);
}

// The numbers and names an image of this kind has.
void print_identity(std::ostream& out, const json& info) {
  print_line(out, "file", info.at("file").get<std::string>());
  print_line(out, "format", format_text(info));
  print_line(out, "virtual size", size_text(info.at("virtual_size")));
  print_line(out, "allocated size", size_text(info.at("allocated_size")));
  if (info.at("block_size") != 0) print_line(out, "block size", size_text(info.at("block_size")));
  print_id(out, "uuid", info.at("uuid"));
  print_id(out, "modification id", info.at("modification_uuid"));
  print_parent(out, info);
  if (!info.at("comment").get<std::string>().empty()) {
    print_line(out, "comment", info.at("comment").get<std::string>());
  }
  print_geometry(out, info);
  for (const char* flag : {"encrypted", "dirty", "corrupt"}) {
    if (info.at(flag).get<bool>()) print_line(out, flag, "yes");
  }
  for (const auto& [key, value] : info.at("details").items()) {
    print_line(out, key, text_of(value));
  }
  print_features(out, info);
}

void print_warnings(std::ostream& out, const json& info) {
  for (const json& warning : info.at("warnings")) {
    print_line(out, "warning", warning.get<std::string>());
  }
  if (!info.contains("chain")) return;
  for (size_t depth = 1; depth < info.at("chain").size(); ++depth) {
    const json& layer = info.at("chain").at(depth);
    for (const json& warning : layer.at("warnings")) {
      print_line(out, "warning",
                 layer.at("file").get<std::string>() + ": " + warning.get<std::string>());
    }
  }
}

}  // namespace

void print_snapshots(std::ostream& out, const json& snapshots) {
  if (snapshots.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME", "SIZE", "CREATED", "VM STATE"}};
  for (const json& s : snapshots) {
    const auto vm_state = s.at("vm_state_size").get<uint64_t>();
    rows.push_back({s.at("id").get<std::string>(), s.at("name").get<std::string>(),
                    human_size(s.at("size").get<uint64_t>()), time_text(s.at("created")),
                    vm_state == 0 ? "-" : human_size(vm_state)});
  }
  print_table(out, rows);
}

void print_cache(std::ostream& out, const json& info) {
  print_line(out, "file", info.at("file").get<std::string>());
  print_line(out, "format", "vci, a cache image");
  print_line(out, "size", size_text(info.at("size")));
  print_line(out, "allocated size", size_text(info.at("allocated_size")));
  print_id(out, "uuid", info.at("uuid"));
  print_id(out, "modification id", info.at("modification_uuid"));
  print_line(out, "disk size", size_text(info.at("disk_size")));
  print_line(out, "closed", text_of(info.at("clean")));
  const auto damage = info.at("damage").get<std::string>();
  if (!damage.empty()) print_line(out, "damaged", damage);
  print_line(out, "lines", text_of(info.at("lines")));
  for (const char* kind : {"data", "table", "free"}) {
    print_line(out, kind, size_text(info.at(std::string(kind) + "_bytes")));
  }
  const auto hits = info.at("hit_bytes").get<double>();
  const auto all = hits + info.at("miss_bytes").get<double>();
  if (all > 0) print_line(out, "hit rate", fmt::format("{:.1f} %", 100 * hits / all));
}

void print_archive(std::ostream& out, const json& info) {
  print_line(out, "file", info.at("file").get<std::string>());
  print_line(out, "format", info.at("format").get<std::string>());
  print_line(out, "allocated size", size_text(info.at("allocated_size")));
  if (!info.at("systems").empty()) print_line(out, "systems", list_of(info.at("systems")));
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CAPACITY", "FORMAT", "OFFSET", "SIZE", "MEMBER"}};
  const auto or_dash = [](const json& value, auto&& text) {
    return value.is_null() ? std::string("-") : text(value);
  };
  const auto as_size = [](const json& value) { return human_size(value.get<uint64_t>()); };
  const auto as_text = [](const json& value) { return text_of(value); };
  for (const json& disk : info.at("disks")) {
    std::string format = or_dash(disk.at("format"), as_text);
    if (!disk.at("parent").is_null()) {
      format += fmt::format(" (over {})", disk.at("parent").get<std::string>());
    }
    rows.push_back({text_of(disk.at("id")), or_dash(disk.at("capacity"), as_size), format,
                    or_dash(disk.at("offset"), as_text), or_dash(disk.at("size"), as_size),
                    or_dash(disk.at("member"), as_text)});
  }
  out << "disks:\n";
  print_table(out, rows);
  for (const json& disk : info.at("disks")) {
    if (disk.at("problem").is_null()) continue;
    print_line(out, "disk " + text_of(disk.at("id")), text_of(disk.at("problem")));
  }
  print_warnings(out, info);
}

void print_info(std::ostream& out, const json& info) {
  print_identity(out, info);
  if (!info.at("snapshots").empty()) out << "snapshots:\n";
  print_snapshots(out, info.at("snapshots"));
  print_bitmaps(out, info.at("bitmaps"));
  print_partitions(out, info);
  print_chain(out, info);
  print_warnings(out, info);
}

}  // namespace platter
