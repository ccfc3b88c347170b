// Tests of lib/ops and the tool run over everything that can be created, whatever this build has.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/test_keys.h"

namespace platter::test {

struct Creatable {
  const Format* format;
  std::string variant;

  Options options() const {
    Options options = quick_options(*format);
    options.emplace("subformat", variant);
    return options;
  }
  // As -o takes them.
  std::string option_word() const {
    std::string word;
    for (const auto& [name, value] : options()) {
      word += word.empty() ? "" : ",";
      word += name + "=" + value;
    }
    return word;
  }
};

// The whole disk; a gtest failure when it cannot be read.
inline std::vector<std::byte> contents(const View& view) {
  std::vector<std::byte> bytes(view.size());
  const auto read = view.read(0, bytes);
  EXPECT_TRUE(read) << read.error().message();
  return bytes;
}

inline std::vector<Creatable> everything_creatable() {
  std::vector<Creatable> list;
  for (const Format* format : all_formats()) {
    for (const CreatableVariant& variant : format->creatable_variants()) {
      list.push_back({format, std::string(variant.name)});
    }
  }
  return list;
}

inline std::string name_of(const testing::TestParamInfo<Creatable>& info) {
  return std::string(info.param.format->name()) + "_" + info.param.variant;
}

}  // namespace platter::test
