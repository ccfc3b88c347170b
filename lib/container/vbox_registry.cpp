#include "lib/container/vbox_registry.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "lib/base/xml.h"

namespace platter {
namespace {

Result<XmlDocument> read_document(const File& file) {
  const uint64_t size = TRY(file.stat()).size;
  if (size > kMaxXmlSize) return Error(Errc::corrupt, "more than 16 MiB of XML");
  std::vector<char> text(size);
  TRY(file.read_exact(0, std::as_writable_bytes(std::span(text))));
  return XmlDocument::parse(std::move(text));
}

// Children are nested in their parents' elements; without recursion, since the depth is the file's
// to say.
pugi::xml_node find_disk(pugi::xml_node disks, const Uuid& id) {
  pugi::xml_node node = disks;
  for (;;) {
    if (const pugi::xml_node child = node.first_child()) {
      node = child;
    } else {
      while (node != disks && !node.next_sibling()) node = node.parent();
      if (node == disks) return {};
      node = node.next_sibling();
    }
    if (std::string_view(node.name()) != "HardDisk") continue;
    if (Uuid::parse(node.attribute("uuid").value()) == id) return node;
  }
}

// A host that is Windows writes its own separators.
std::string with_slashes(std::string location) {
  if (location.find('/') == std::string::npos) std::ranges::replace(location, '\\', '/');
  return location;
}

}  // namespace

Result<std::optional<RegisteredDisk>> find_registered(const File& vbox, const Uuid& id) {
  const XmlDocument document = TRY(read_document(vbox));
  if (std::string_view(document.root().name()) != "VirtualBox") {
    return Error(Errc::corrupt, "is not VirtualBox's");
  }
  const pugi::xml_node disks =
      document.root().child("Machine").child("MediaRegistry").child("HardDisks");
  const pugi::xml_node disk = find_disk(disks, id);
  if (!disk) return std::optional<RegisteredDisk>();
  return std::optional(RegisteredDisk{with_slashes(disk.attribute("location").value()),
                                      disk.attribute("format").value()});
}

}  // namespace platter
