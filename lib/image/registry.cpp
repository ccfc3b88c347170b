#include "lib/image/registry.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "lib/image/foreign.h"

namespace platter {
namespace {

constexpr uint64_t kHead = 64 * KiB;
constexpr uint64_t kTail = 1 * KiB;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

Result<const Format*> best_match(const ProbeInput& input) {
  const Format* sure = nullptr;
  const Format* weak = nullptr;
  for (const Format* format : all_formats()) {
    const Match match = format->probe(input);
    if (match == Match::sure && sure != nullptr) {
      return Error(
          Errc::invalid,
          fmt::format("could be {} or {}: say which with format=", sure->name(), format->name()));
    }
    if (match == Match::sure) sure = format;
    if (match == Match::weak && weak == nullptr) weak = format;
  }
  return sure != nullptr ? sure : weak;
}

}  // namespace

const Format* find_format(std::string_view name) {
  std::string wanted = lower(name);
  if (wanted == "vpc") wanted = "vhd";  // QEMU's name for it
  for (const Format* format : all_formats()) {
    if (format->name() == wanted) return format;
  }
  return nullptr;
}

const Format* format_for_extension(std::string_view file_name) {
  const size_t dot = file_name.rfind('.');
  if (dot == std::string_view::npos) return nullptr;
  const std::string extension = lower(file_name.substr(dot + 1));
  for (const Format* format : all_formats()) {
    const auto known = format->extensions();
    if (std::find(known.begin(), known.end(), extension) != known.end()) return format;
  }
  return nullptr;
}

Result<Probed> probe(const File& file) {
  const uint64_t size = TRY(file.stat()).size;
  if (size == 0) return Error(Errc::wrong_format, "is empty: no disk image");
  std::vector<std::byte> head(std::min(size, kHead));
  std::vector<std::byte> tail(std::min(size, kTail));
  TRY(file.read_exact(0, head));
  TRY(file.read_exact(size - tail.size(), tail));
  const ProbeInput input{file.name(), size, head, tail};
  const Format* format = TRY(best_match(input));
  if (format != nullptr) return Probed{format, false};
  if (const std::string_view kind = foreign_kind(input); !kind.empty()) {
    return Error(Errc::unsupported,
                 fmt::format("is {}, which this version cannot read (format=raw would show the "
                             "file's own bytes)",
                             kind));
  }
  return Probed{find_format("raw"), true};
}

}  // namespace platter
