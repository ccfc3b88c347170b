// Bytes for tests: text as bytes and back, and a pattern in which every place looks different.
#pragma once

#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lib/io/file.h"

namespace platter::test {

inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What of a range the file has, as text; or "error: " and why it cannot be read.
inline std::string read_text(const File& file, uint64_t offset, size_t length) {
  std::vector<std::byte> out(length);
  const auto n = file.read_available(offset, out);
  return n ? text_of(Bytes(out).first(*n)) : "error: " + n.error().message();
}

// The byte at offset of a stream that repeats only after 2^64 bytes; seed tells streams apart.
inline std::byte pattern_at(uint64_t offset, uint64_t seed) {
  uint64_t x = (offset + 1) * 0x9e3779b97f4a7c15 ^ seed * 0xbf58476d1ce4e5b9;
  x ^= x >> 29;
  return static_cast<std::byte>(x >> 17);
}

inline std::vector<std::byte> pattern(uint64_t offset, size_t length, uint64_t seed) {
  std::vector<std::byte> out(length);
  for (size_t i = 0; i < length; ++i) out[i] = pattern_at(offset + i, seed);
  return out;
}

// Bytes that nothing makes smaller.
inline std::vector<std::byte> noise(size_t length, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> out(length);
  for (std::byte& b : out) b = static_cast<std::byte>(random() >> 32);
  return out;
}

}  // namespace platter::test
