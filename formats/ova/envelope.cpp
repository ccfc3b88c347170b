#include "formats/ova/envelope.h"

#include <charconv>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"
#include "lib/base/xml.h"

namespace platter::ova {
namespace {

// Without the prefix: which one stands for the namespace is the writer's choice.
std::string_view local(std::string_view name) { return name.substr(name.rfind(':') + 1); }

std::string attribute(pugi::xml_node node, std::string_view name) {
  for (const pugi::xml_attribute a : node.attributes()) {
    if (local(a.name()) == name) return a.value();
  }
  return {};
}

template <class Visit>
void for_each_child(pugi::xml_node node, std::string_view name, Visit&& visit) {
  for (const pugi::xml_node child : node.children()) {
    if (local(child.name()) == name) visit(child);
  }
}

std::optional<uint64_t> decimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (text.empty() || error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

// "byte", "byte * 2^30", and the words of version 0.9: bytes in one.
std::optional<uint64_t> unit_of(std::string_view text) {
  std::string word;
  for (const char c : text) {
    if (c != ' ') word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  constexpr std::string_view kPower = "byte*2^";
  if (word.empty() || word == "byte" || word == "bytes") return 1;
  if (word == "kilobytes") return KiB;
  if (word == "megabytes") return MiB;
  if (word == "gigabytes") return GiB;
  if (word == "terabytes") return 1024 * GiB;
  if (!word.starts_with(kPower)) return std::nullopt;
  const auto power = decimal(std::string_view(word).substr(kPower.size()));
  if (!power || *power > 62) return std::nullopt;
  return uint64_t{1} << *power;
}

// Empty: it does not say it as a number, or nobody has such a disk.
std::optional<uint64_t> capacity_of(pugi::xml_node disk) {
  const auto count = decimal(attribute(disk, "capacity"));
  const auto unit = unit_of(attribute(disk, "capacityAllocationUnits"));
  const auto bytes = count && unit ? checked_mul(*count, *unit) : std::nullopt;
  return bytes && *bytes <= kMaxOffset ? bytes : std::nullopt;
}

Error broken(std::string what) { return {Errc::corrupt, "envelope: " + std::move(what)}; }

class EnvelopeParser {
 public:
  Result<Envelope> run(pugi::xml_node root) {
    if (local(root.name()) != "Envelope") return broken("is no OVF envelope");
    for_each_child(root, "References", [this](pugi::xml_node references) {
      for_each_child(references, "File", [this](pugi::xml_node file) { add_file(file); });
    });
    for (const pugi::xml_node section : root.children()) {
      // Version 0.9 names sections by their type.
      const bool typed = local(section.name()) == "Section" &&
                         local(attribute(section, "type")) == "DiskSection_Type";
      if (!typed && local(section.name()) != "DiskSection") continue;
      for_each_child(section, "Disk", [this](pugi::xml_node disk) { add_disk(disk); });
    }
    add_systems(root);
    for_each_child(root, "VirtualSystemCollection",
                   [this](pugi::xml_node collection) { add_systems(collection); });
    TRY(check_ids());
    TRY(check_parents());
    return std::move(out_);
  }

 private:
  void add_file(pugi::xml_node file) {
    OvfFile out{.id = attribute(file, "id"),
                .href = attribute(file, "href"),
                .size = decimal(attribute(file, "size")),
                .compression = attribute(file, "compression"),
                .chunked = !attribute(file, "chunkSize").empty()};
    if (out.compression == "identity") out.compression.clear();
    while (out.href.starts_with("./")) out.href.erase(0, 2);
    out_.files.push_back(std::move(out));
  }

  void add_disk(pugi::xml_node disk) {
    const auto capacity = capacity_of(disk);
    OvfDisk out{.id = attribute(disk, "diskId"),
                .capacity = capacity.value_or(0),
                .file = attribute(disk, "fileRef"),
                .format = attribute(disk, "format"),
                .parent = attribute(disk, "parentRef")};
    if (!capacity) {
      out_.warnings.push_back(
          fmt::format("envelope: disk \"{}\": its capacity is no number of bytes", out.id));
    }
    out_.disks.push_back(std::move(out));
  }

  void add_systems(pugi::xml_node node) {
    for (const char* name : {"VirtualSystem", "Content"}) {
      for_each_child(node, name, [this](pugi::xml_node system) {
        if (std::string id = attribute(system, "id"); !id.empty()) out_.systems.push_back(id);
      });
    }
  }

  Result<void> check_ids() const {
    std::unordered_set<std::string_view> files, disks;
    for (const OvfFile& file : out_.files) {
      if (files.insert(file.id).second) continue;
      return broken(fmt::format("two files have the id \"{}\"", printable(file.id)));
    }
    for (const OvfDisk& disk : out_.disks) {
      if (disks.insert(disk.id).second) continue;
      return broken(fmt::format("two disks have the id \"{}\"", printable(disk.id)));
    }
    return {};
  }

  Result<void> check_parents() const {
    std::unordered_map<std::string_view, const OvfDisk*> by_id;
    for (const OvfDisk& disk : out_.disks) by_id.emplace(disk.id, &disk);
    // Those that are known to end at a disk without a parent.
    std::unordered_set<const OvfDisk*> good;
    for (const OvfDisk& disk : out_.disks) {
      std::unordered_set<const OvfDisk*> way;
      for (const OvfDisk* at = &disk; !good.contains(at);) {
        if (!way.insert(at).second) {
          return broken(fmt::format("disk \"{}\" is its own ancestor", printable(at->id)));
        }
        if (at->parent.empty()) break;
        const auto parent = by_id.find(at->parent);
        if (parent == by_id.end()) {
          return broken(fmt::format("disk \"{}\" has the parent \"{}\", which is not there",
                                    printable(at->id), printable(at->parent)));
        }
        at = parent->second;
      }
      good.insert(way.begin(), way.end());
    }
    return {};
  }

  Envelope out_;
};

}  // namespace

Result<Envelope> parse_envelope(std::vector<char> text) {
  const XmlDocument document = TRY_IN("envelope", XmlDocument::parse(std::move(text)));
  return EnvelopeParser().run(document.root());
}

}  // namespace platter::ova
