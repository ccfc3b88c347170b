#include "lib/image/foreign.h"

#include <array>

namespace platter {
namespace {

struct Signature {
  bool in_tail = false;
  size_t offset = 0;  // from the start, or in the tail back from the end
  std::string_view magic;
  std::string_view kind;
};

using namespace std::string_view_literals;

// From the formats' published descriptions; each is long or peculiar enough not to open a boot
// sector.
constexpr std::array kSignatures = {
    Signature{false, 0, "QED\0"sv, "a QED image"},
    Signature{false, 0, "WithoutFreeSpace"sv, "a Parallels image"},
    Signature{false, 0, "WithouFreSpacExt"sv, "a Parallels image"},
    Signature{false, 0, "EVF\x09\x0d\x0a\xff\0"sv, "an EWF image"},
    Signature{false, 0, "EVF2\x0d\x0a\x81\0"sv, "an EWF (Ex01) image"},
    Signature{false, 0, "Bochs Virtual HD Image"sv, "a Bochs image"},
    Signature{false, 0, "\x3a\xff\x26\xed\1\0"sv, "an Android sparse image"},
    Signature{false, 0, "sprs\0\0\0\3"sv, "a sparse image of macOS"},
    Signature{false, 0, "VCI\0\1\0\0\0"sv, "a cache image (VCI), which is no disk"},
    Signature{false, 0, "#!/bin/sh\n#V2.0 Format\n"sv, "a cloop image"},
};

}  // namespace

std::string_view foreign_kind(const ProbeInput& input) {
  for (const Signature& s : kSignatures) {
    const Bytes in = s.in_tail ? input.tail : input.head;
    if (s.in_tail && in.size() < s.offset) continue;
    const size_t at = s.in_tail ? in.size() - s.offset : s.offset;
    if (at + s.magic.size() > in.size()) continue;
    const auto* text = reinterpret_cast<const char*>(in.data()) + at;
    if (std::string_view(text, s.magic.size()) == s.magic) return s.kind;
  }
  return {};
}

}  // namespace platter
