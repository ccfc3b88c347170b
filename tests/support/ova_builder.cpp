#include "tests/support/ova_builder.h"

#include <fmt/format.h>

#include "lib/crypto/hash.h"
#include "tests/support/bytes.h"

namespace platter::test {
namespace {

std::string octal(uint64_t value, size_t width) { return fmt::format("{:0{}o}", value, width - 1); }

std::string base256(uint64_t value) {
  std::string out = "\x80";
  out.resize(4, '\0');
  for (int i = 7; i >= 0; --i) out += static_cast<char>(value >> 8 * i);
  return out;
}

std::string sha256_hex(const std::string& text) {
  std::vector<std::byte> out(32);
  if (!digest(Hash::sha256, {bytes_of(text)}, out)) return "no SHA-256 here";
  std::string hex;
  for (const std::byte b : out) hex += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return hex;
}

std::string envelope_of(const OvaBuilder& ova) {
  if (!ova.envelope.empty()) return ova.envelope;
  std::string files, disks;
  for (size_t i = 0; i < ova.disks.size(); ++i) {
    const OvaBuilder::Disk& disk = ova.disks[i];
    files += fmt::format("    <File ovf:href=\"{}\" ovf:id=\"file{}\" ovf:size=\"{}\"{}/>\n",
                         disk.member, i + 1, disk.content.size(), disk.file_attributes);
    disks += fmt::format(
        "    <Disk ovf:capacity=\"{}\" ovf:diskId=\"disk{}\" ovf:fileRef=\"file{}\" "
        "ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\"",
        disk.capacity, i + 1, i + 1);
    if (!disk.parent.empty()) disks += fmt::format(" ovf:parentRef=\"{}\"", disk.parent);
    disks += disk.disk_attributes + "/>\n";
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
         "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "
         "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\">\n  <References>\n" +
         files + "  </References>\n  <DiskSection>\n    <Info>Disks</Info>\n" + disks +
         "  </DiskSection>\n  <VirtualSystem ovf:id=\"vm\"/>\n</Envelope>\n";
}

}  // namespace

TarBuilder& TarBuilder::add(Entry entry) {
  std::string header(512, '\0');
  const auto put = [&header](size_t at, std::string_view text) {
    header.replace(at, text.size(), text);
  };
  put(0, entry.name.substr(0, 100));
  put(100, octal(0644, 8));
  put(108, octal(0, 8));
  put(116, octal(0, 8));
  put(124, entry.gnu ? base256(entry.content.size()) : octal(entry.content.size(), 12));
  put(136, octal(0, 12));
  header[156] = entry.type;
  put(257, entry.gnu ? std::string_view("ustar  \0", 8) : std::string_view("ustar\00000", 8));
  put(345, entry.prefix);
  for (const auto& [at, text] : entry.fields) put(at, text);
  put(148, "        ");
  uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, octal(sum, 7) + std::string("\0 ", 2));
  for (const auto& [at, text] : entry.afterwards) put(at, text);
  text_ += header + entry.content;
  text_.resize((text_.size() + 511) / 512 * 512);
  return *this;
}

std::shared_ptr<MemoryFile> TarBuilder::file() const {
  return std::make_shared<MemoryFile>("test.ova", bytes_of(build()));
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

std::string OvaBuilder::build() const {
  const std::string described = envelope_of(*this);
  TarBuilder tar;
  tar.add("vm.ovf", described);
  if (manifest) {
    std::string lines = "SHA256(vm.ovf)= " + sha256_hex(described) + "\n";
    for (const Disk& disk : disks) {
      lines += "SHA256(" + disk.member + ")= " + sha256_hex(disk.content) + "\n";
    }
    tar.add("vm.mf", lines);
  }
  for (const Disk& disk : disks) tar.add(disk.member, disk.content);
  return tar.build();
}

}  // namespace platter::test
