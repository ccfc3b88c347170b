// Registry: every format the program was built with. The list itself is formats/formats.inc.
#pragma once

#include <span>
#include <string_view>

#include "lib/image/format.h"

namespace platter {

// In probing order; raw, which claims nothing, is the last. Thread safe.
std::span<const Format* const> all_formats();

// By name, any case; null: there is none.
const Format* find_format(std::string_view name);

// The format by the usual extension of a file's name; null: none.
const Format* format_for_extension(std::string_view file_name);

// The outcome of a probe.
struct Probed {
  const Format* format = nullptr;
  bool guessed = false;  // no format claimed it: taken for raw
};

// Reads the head and the tail of the file. Errc::invalid when two formats are sure of it;
// unsupported when it is a known kind of disk image that this build does not read;
// wrong_format when it is empty.
Result<Probed> probe(const File& file);

}  // namespace platter
