#include "tests/support/dmg_builder.h"

#include <algorithm>
#include <stdexcept>

#include <bzlib.h>
#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>

#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/lzfse_encoder.h"

namespace platter::test {
namespace {

using Buffer = std::vector<std::byte>;

void put32(Buffer& out, size_t at, uint64_t value) {
  store(MutableBytes(out), at, be32(static_cast<uint32_t>(value)));
}
void put64(Buffer& out, size_t at, uint64_t value) { store(MutableBytes(out), at, be64(value)); }

void put_words(Buffer& out, const std::map<size_t, uint64_t>& words32,
               const std::map<size_t, uint64_t>& words64) {
  for (const auto& [at, value] : words32) put32(out, at, value);
  for (const auto& [at, value] : words64) put64(out, at, value);
}

uint32_t zlib_crc(uint32_t before, Bytes bytes) {
  return static_cast<uint32_t>(::crc32(before, reinterpret_cast<const Bytef*>(bytes.data()),
                                       static_cast<uInt>(bytes.size())));
}

// Runs of one byte, and literals.
Buffer adc(Bytes plain) {
  Buffer out;
  size_t literals = 0;  // where their control byte is, if there is one
  for (size_t i = 0; i < plain.size();) {
    size_t run = 1;
    while (run < 68 && i + run < plain.size() && plain[i + run] == plain[i]) ++run;
    if (run > 4) {
      out.insert(out.end(), {std::byte{0x80}, plain[i], static_cast<std::byte>(0x40 | (run - 5)),
                             std::byte{0}, std::byte{0}});
      literals = 0;
      i += run;
      continue;
    }
    if (literals == 0 || out[literals - 1] == std::byte{0xff}) {
      out.push_back(std::byte{0x7f});
      literals = out.size();
    }
    out[literals - 1] = static_cast<std::byte>(std::to_integer<unsigned>(out[literals - 1]) + 1);
    out.push_back(plain[i++]);
  }
  return out;
}

Buffer base64(Bytes bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < bytes.size() ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * k) & 63];
    }
    if (i % 39 == 36) out += "\n\t\t\t\t";
  }
  const Bytes text = bytes_of(out);
  return {text.begin(), text.end()};
}

// The table of a part; what its chunks store goes behind fork.
Buffer table_of(const DmgBuilder& builder, const DmgBuilder::Part& part, Buffer& fork) {
  Buffer table(204 + 40 * (part.chunks.size() + 1));
  put32(table, 0, 0x6d697368);
  put32(table, 4, 1);
  put64(table, 8, part.first);
  put64(table, 16, part.sectors);
  put32(table, 32, 0x808);
  if (builder.checksums) {
    put32(table, 64, 2);
    put32(table, 68, 32);
    put32(table, 72, part.crc);
  }
  put32(table, 200, part.chunks.size() + 1);
  size_t at = 204;
  for (const auto& chunk : part.chunks) {
    put32(table, at, chunk.type);
    put32(table, at + 4, chunk.comment);
    put64(table, at + 8, chunk.first);
    put64(table, at + 16, chunk.sectors);
    put64(table, at + 24, chunk.offset.value_or(fork.size()));
    put64(table, at + 32, chunk.length.value_or(chunk.stored.size()));
    append(fork, chunk.stored);
    at += 40;
  }
  put32(table, at, kDmgEnd);
  put64(table, at + 8, part.sectors);
  put64(table, at + 24, fork.size());
  put_words(table, part.words32, part.words64);
  if (part.size) table.resize(*part.size);
  return table;
}

std::string list_of(const DmgBuilder& builder, const std::vector<Buffer>& tables) {
  if (builder.property_list) return *builder.property_list;
  std::string list =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
      "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
      "<plist version=\"1.0\">\n<dict>\n<key>resource-fork</key>\n<dict>\n<key>blkx</key>\n"
      "<array>\n";
  for (size_t i = 0; i < tables.size(); ++i) {
    list += fmt::format(
        "<dict>\n<key>Attributes</key>\n<string>0x0050</string>\n<key>CFName</key>\n"
        "<string>{0}</string>\n<key>Data</key>\n<data>\n\t\t\t\t{1}\n</data>\n<key>ID</key>\n"
        "<string>{2}</string>\n<key>Name</key>\n<string>{0}</string>\n</dict>\n",
        builder.parts[i].name, text_of(base64(tables[i])), i);
  }
  return list +
         "</array>\n<key>plst</key>\n<array><dict><key>Data</key><data>AAAA</data></dict></array>\n"
         "</dict>\n</dict>\n</plist>\n";
}

std::string fork_of(const std::vector<Buffer>& tables) {
  Buffer data;
  for (const Buffer& table : tables) {
    Buffer item(4);
    put32(item, 0, table.size());
    append(item, table);
    append(data, item);
  }
  // One that is no table.
  append(data, bytes_of(std::string_view("\0\0\0\5other", 9)));
  Buffer fork(256);
  put32(fork, 0, fork.size());
  put32(fork, 4, fork.size() + data.size());
  put32(fork, 8, data.size());
  append(fork, data);
  return text_of(fork);
}

}  // namespace

std::vector<std::byte> dmg_stored(uint32_t type, Bytes plain) {
  auto* const in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  Buffer out(plain.size() + plain.size() / 50 + 4096);
  auto* const to = reinterpret_cast<Bytef*>(out.data());
  switch (type) {
    case kDmgRaw: return {plain.begin(), plain.end()};
    case kDmgAdc: return adc(plain);
    case kDmgLzfse: return lzfse_encode(plain);
    case kDmgZlib: {
      uLongf length = out.size();
      ::compress(to, &length, in, plain.size());
      out.resize(length);
      return out;
    }
    case kDmgBzip2: {
      auto length = static_cast<unsigned>(out.size());
      BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(to), &length, reinterpret_cast<char*>(in),
                               static_cast<unsigned>(plain.size()), 9, 0, 0);
      out.resize(length);
      return out;
    }
    case kDmgXz: {
      size_t length = 0;
      lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nullptr, in, plain.size(), to, &length,
                              out.size());
      out.resize(length);
      return out;
    }
    default: return {};
  }
}

void DmgBuilder::add(Part& part, uint32_t type, Bytes plain) {
  part.chunks.push_back({.type = type,
                         .first = part.sectors,
                         .sectors = plain.size() / 512,
                         .stored = dmg_stored(type, plain)});
  part.sectors += plain.size() / 512;
  if (type != kDmgIgnored) part.crc = zlib_crc(part.crc, plain);
}

std::string DmgBuilder::build() const {
  const size_t start = trailer_first ? 512 : 0;
  Buffer fork, crcs(4 * parts.size());
  std::vector<Buffer> tables;
  for (const Part& part : parts) {
    put32(crcs, 4 * tables.size(), part.crc);
    tables.push_back(table_of(*this, part, fork));
  }
  const std::string list = resource_fork ? fork_of(tables) : list_of(*this, tables);
  Buffer trailer(512);
  put32(trailer, 0, 0x6b6f6c79);
  put32(trailer, 4, 4);
  put32(trailer, 8, 512);
  put32(trailer, 12, 1);
  put64(trailer, 0x18, start);
  put64(trailer, 0x20, fork.size());
  put64(trailer, resource_fork ? 0x28 : 0xd8, start + fork.size());
  put64(trailer, resource_fork ? 0x30 : 0xe0, list.size());
  put32(trailer, 0x38, 1);
  put32(trailer, 0x3c, 1);
  if (checksums) {
    for (const size_t at : {0x50U, 0x160U}) {
      put32(trailer, at, 2);
      put32(trailer, at + 4, 32);
    }
    put32(trailer, 0x58, zlib_crc(0, fork));
    put32(trailer, 0x168, zlib_crc(0, crcs));
  }
  put32(trailer, 0x1e8, 1);
  put64(trailer, 0x1ec, sectors);
  put_words(trailer, words32, words64);
  const std::string body = text_of(fork) + list;
  return (trailer_first ? text_of(trailer) + body : body + text_of(trailer)) + behind;
}

std::shared_ptr<MemoryFile> DmgBuilder::file() const {
  return std::make_shared<MemoryFile>("test.dmg", bytes_of(build()));
}

Result<ImagePtr> open_dmg(FilePtr file) {
  const auto resolver = deny_resolver("the test forbids it");
  return find_format("dmg")->open(OpenRequest{.file = std::move(file),
                                              .resolver = *resolver,
                                              .tables = std::make_shared<PageCache>(64 * KiB)});
}

}  // namespace platter::test
