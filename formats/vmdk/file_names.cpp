#include "formats/vmdk/file_names.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "formats/vmdk/descriptor.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool same_name(std::string_view a, std::string_view b) { return lower_case(a) == lower_case(b); }

// What windows-1252 has from 0x80 to 0x9f; 0: nothing.
constexpr std::array<uint16_t, 32> kWindows1252 = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
  }
  out += static_cast<char>(0x80 | (code & 0x3f));
}

std::optional<std::string> from_windows_1252(std::string_view text) {
  std::string out;
  for (const char c : text) {
    uint32_t code = static_cast<unsigned char>(c);
    if (code >= 0x80 && code < 0xa0) code = kWindows1252[code - 0x80];
    if (code == 0 && c != '\0') return std::nullopt;
    append_utf8(out, code);
  }
  return out;
}

// Encodings that the C library knows.
std::optional<std::string> from_other(std::string_view text, std::string_view encoding) {
  const iconv_t converter = iconv_open("UTF-8", std::string(encoding).c_str());
  if (converter == iconv_t(-1)) return std::nullopt;
  std::string in(text);
  std::string out(4 * text.size() + 4, '\0');
  char* from = in.data();
  char* to = out.data();
  size_t left = in.size(), room = out.size();
  const bool done = iconv(converter, &from, &left, &to, &room) != size_t(-1) &&
                    iconv(converter, nullptr, nullptr, &to, &room) != size_t(-1);
  iconv_close(converter);
  if (!done || left != 0) return std::nullopt;
  out.resize(out.size() - room);
  return out;
}

std::string last_part(std::string_view path) {
  return std::string(path.substr(path.find_last_of("/\\:") + 1));
}

void add(std::vector<std::string>& list, std::string name) {
  if (name.empty() || std::find(list.begin(), list.end(), name) != list.end()) return;
  list.push_back(std::move(name));
}

void add_references(std::vector<std::string>& list, const std::string& name) {
  const bool drive = name.size() >= 2 && is_letter(name[0]) && name[1] == ':';
  if (drive || name.starts_with('\\')) return add(list, last_part(name));
  if (name.starts_with('/')) {
    add(list, name);
    return add(list, last_part(name));
  }
  std::string relative = name;
  std::replace(relative.begin(), relative.end(), '\\', '/');
  add(list, relative);
  // The separator of one system is a letter of another's names.
  add(list, name);
  add(list, last_part(name));
}

}  // namespace

std::string as_utf8(std::string_view stored, std::string_view encoding) {
  if (encoding.empty() || same_name(encoding, "UTF-8")) return std::string(stored);
  const auto text = same_name(encoding, "windows-1252") ? from_windows_1252(stored)
                                                        : from_other(stored, encoding);
  return text.value_or(std::string(stored));
}

std::vector<std::string> references(std::string_view stored, std::string_view encoding) {
  std::vector<std::string> list;
  const std::string text = as_utf8(stored, encoding);
  add_references(list, text);
  // A tool that copied the text may have written the name in its own encoding.
  if (text != stored && is_utf8(stored)) add_references(list, std::string(stored));
  return list;
}

}  // namespace platter::vmdk
