// Tests of lib/ops and the tool run over everything that can be created, whatever this build has.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/image/registry.h"

namespace platter::test {

struct Creatable {
  const Format* format;
  std::string variant;

  Options options() const { return {{"subformat", variant}}; }
};

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
