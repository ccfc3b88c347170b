#include "lib/ops/formats.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lib/image/registry.h"

namespace platter {

nlohmann::json describe_formats() {
  std::vector<const Format*> formats(all_formats().begin(), all_formats().end());
  std::ranges::sort(formats, {}, [](const Format* f) { return f->name(); });
  nlohmann::json list = nlohmann::json::array();
  for (const Format* format : formats) {
    nlohmann::json variants = nlohmann::json::array();
    for (const CreatableVariant& v : format->creatable_variants()) variants.push_back(v.name);
    list.push_back({{"name", format->name()},
                    {"extensions", format->extensions()},
                    {"read", true},
                    {"write", format->can_write()},
                    {"create", format->can_create()},
                    {"variants", variants},
                    {"diff", format->can_create_child()},
                    {"resize", format->can_resize()},
                    {"compact", format->can_compact()},
                    {"check", format->can_check()},
                    {"repair", format->can_repair()},
                    {"snapshot", format->can_snapshot()},
                    {"encrypt", format->can_encrypt()}});
  }
  return list;
}

}  // namespace platter
