#include "lib/ops/info.h"

#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/partition/partition.h"

namespace platter {
namespace {

using nlohmann::json;

json uuid_or_null(const std::optional<Uuid>& uuid) {
  return uuid ? json(uuid->to_string()) : json(nullptr);
}

json geometry_or_null(const std::optional<Geometry>& g) {
  if (!g) return nullptr;
  return {{"cylinders", g->cylinders}, {"heads", g->heads}, {"sectors", g->sectors}};
}

json snapshots_of(const Image& image) {
  json list = json::array();
  for (const SnapshotInfo& s : image.snapshots()) {
    list.push_back({{"id", printable(s.format_id)},
                    {"name", printable(s.name)},
                    {"size", s.size},
                    {"created", s.created_ns / 1000000000},
                    {"vm_state_size", s.vm_state}});
  }
  return list;
}

json texts_of(const std::vector<std::string>& texts) {
  json list = json::array();
  for (const std::string& text : texts) list.push_back(printable(text));
  return list;
}

json features_of(const Features& features) {
  return {{"incompatible", texts_of(features.incompatible)},
          {"compatible", texts_of(features.compatible)},
          {"autoclear", texts_of(features.autoclear)}};
}

json bitmaps_of(const std::vector<BitmapInfo>& bitmaps) {
  json list = json::array();
  for (const BitmapInfo& bitmap : bitmaps) {
    list.push_back({{"name", printable(bitmap.name)},
                    {"granularity", bitmap.granularity},
                    {"flags", texts_of(bitmap.flags)}});
  }
  return list;
}

Result<json> describe_layer(const ChainLayer& layer) {
  const ImageInfo& info = layer.image->info();
  uint64_t allocated = 0;
  for (const FilePtr& file : layer.image->files()) allocated += TRY(file->stat()).allocated;
  const auto& parent = info.parent;
  json out = {
      {"file", printable(layer.path)},
      {"format", info.format},
      {"guessed", layer.guessed},
      {"variant", info.variant},
      {"virtual_size", layer.image->size()},
      {"allocated_size", allocated},
      {"block_size", info.block_size},
      {"uuid", uuid_or_null(info.uuid)},
      {"modification_uuid", uuid_or_null(info.modification_uuid)},
      {"parent", nullptr},
      {"parent_format", nullptr},
      {"parent_uuid", parent ? uuid_or_null(parent->uuid) : json(nullptr)},
      {"parent_modification_uuid",
       parent ? uuid_or_null(parent->modification_uuid) : json(nullptr)},
      {"snapshots", snapshots_of(*layer.image)},
      {"encrypted", info.encrypted},
      {"dirty", info.dirty},
      {"corrupt", info.corrupt},
      {"comment", printable(info.comment)},
      {"geometry", {{"pchs", geometry_or_null(info.pchs)}, {"lchs", geometry_or_null(info.lchs)}}},
      {"features", features_of(info.features)},
      {"bitmaps", bitmaps_of(info.bitmaps)},
      {"warnings", texts_of(info.warnings)}};
  if (parent && !parent->reference.empty()) out["parent"] = printable(parent->reference);
  if (parent && !parent->format.empty()) out["parent_format"] = printable(parent->format);
  for (const json& warning : texts_of(layer.warnings)) out["warnings"].push_back(warning);
  json& details = out["details"] = json::object();
  for (const auto& [key, value] : info.details) {
    std::visit([&, &name = key](const auto& v) { details[name] = v; }, value);
    if (details[key].is_string()) details[key] = printable(details[key].get<std::string>());
  }
  return out;
}

json describe_partition(const Partition& p) {
  return {{"number", p.number},        {"start", p.range.offset},   {"length", p.range.length},
          {"type", printable(p.type)}, {"name", printable(p.name)}, {"uuid", uuid_or_null(p.uuid)}};
}

void add_partitions(json& out, const View& view) {
  const Result<PartitionTable> table = read_partitions(view);
  if (!table) {
    out["warnings"].push_back("partitions: " + printable(table.error().message()));
    return;
  }
  out["partition_table"] = to_string(table->scheme);
  json& list = out["partitions"] = json::array();
  for (const Partition& p : table->partitions) list.push_back(describe_partition(p));
  for (const std::string& warning : table->warnings) {
    out["warnings"].push_back("partitions: " + printable(warning));
  }
}

}  // namespace

Result<json> describe(const InfoRequest& request) {
  const auto& chain = request.container.chain();
  const State* state = request.state;
  const size_t top = state != nullptr ? state->depth : 0;
  json out = TRY(describe_layer(chain[top]));
  if (state != nullptr && state->kind == State::Kind::snapshot) {
    out["virtual_size"] = state->snapshot.size;
    out["snapshot"] = {{"id", printable(state->snapshot.format_id)},
                       {"name", printable(state->snapshot.name)},
                       {"created", state->snapshot.created_ns / 1000000000}};
  }
  if (request.partitions) {
    add_partitions(out, state != nullptr ? *state->view : *request.container.live());
  }
  if (!request.chain) return out;
  json& layers = out["chain"] = json::array();
  for (size_t depth = top; depth < chain.size(); ++depth) {
    layers.push_back(TRY(describe_layer(chain[depth])));
  }
  return out;
}

}  // namespace platter
