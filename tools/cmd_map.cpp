#include <map>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/container/extent_walk.h"
#include "lib/ops/map.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

using nlohmann::json;

bool is_stored(const Extent& e) {
  return e.kind == Extent::Kind::data || e.kind == Extent::Kind::encoded;
}

// Prints each extent as it comes: a fragmented disk has millions.
class MapPrinter {
 public:
  MapPrinter(std::ostream& out, bool as_json) : out_(out), json_(as_json) {
    out_ << (json_ ? "["
                   : fmt::format(fmt::runtime(kRow), "START", "LENGTH", "DEPTH", "KIND", "OFFSET",
                                 "FILE"));
  }

  void print(const View::Mapped& mapped) {
    const Extent& e = mapped.extent;
    if (json_) {
      out_ << fmt::format(
          "{}\n  {{\"start\": {}, \"length\": {}, \"depth\": {}, \"kind\": \"{}\", \"offset\": {}, "
          "\"file\": {}}}",
          first_ ? "" : ",", e.guest.offset, e.guest.length, mapped.depth, kind_name(map_kind(e)),
          is_stored(e) ? fmt::to_string(e.host) : "null", is_stored(e) ? quoted(*e.file) : "null");
    } else {
      out_ << fmt::format(fmt::runtime(kRow), e.guest.offset, e.guest.length, mapped.depth,
                          kind_name(map_kind(e)), is_stored(e) ? fmt::to_string(e.host) : "-",
                          is_stored(e) ? printable(e.file->name()) : "-");
    }
    first_ = false;
  }

  void finish() {
    if (json_) out_ << (first_ ? "]\n" : "\n]\n");
  }

 private:
  static constexpr const char* kRow = "{:>16} {:>16} {:>5}  {:<10} {:>16}  {}\n";

  const std::string& quoted(const File& file) {
    std::string& text = quoted_[&file];
    if (text.empty()) text = json(printable(file.name())).dump();
    return text;
  }

  std::ostream& out_;
  const bool json_;
  bool first_ = true;
  std::map<const File*, std::string> quoted_;
};

json totals(const MapSummary::Total& total) {
  return {{"extents", total.extents}, {"bytes", total.bytes}};
}

json layer_totals(const Container& container, const MapSummary& summary) {
  json layers = json::array();
  for (size_t depth = 0; depth < summary.layers(); ++depth) {
    json layer = {{"depth", depth}, {"file", printable(container.chain()[depth].path)}};
    for (const MapKind kind : kMapKinds) {
      layer[std::string(kind_name(kind))] = totals(summary.at(depth, kind));
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

void print_summary(std::ostream& out, const json& summary) {
  constexpr const char* kRow = "{:<6}{:<12}{:>12}{:>22}  {}\n";
  out << fmt::format(fmt::runtime(kRow), "DEPTH", "KIND", "EXTENTS", "BYTES", "FILE");
  for (const json& layer : summary.at("layers")) {
    for (const MapKind kind : kMapKinds) {
      const json& total = layer.at(std::string(kind_name(kind)));
      if (total.at("extents") == 0) continue;
      out << fmt::format(fmt::runtime(kRow), layer.at("depth").get<size_t>(), kind_name(kind),
                         total.at("extents").get<uint64_t>(), total.at("bytes").get<uint64_t>(),
                         layer.at("file").get<std::string>());
    }
  }
  out << fmt::format("{} extents, virtual size {} bytes\n", summary.at("extents").get<uint64_t>(),
                     summary.at("virtual_size").get<uint64_t>());
}

class MapCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    app.add_flag("--summary", summary_, "only totals by layer and kind");
    app.add_option("IMAGE", path_)->required();
  }

  Result<void> check() override { return source_.check(); }

  Result<int> run(Console& console) override {
    const auto container = TRY(Container::open(path_, source_.options()));
    if (summary_) {
      TRY(summarise(console, *container));
    } else {
      TRY(list(console, *container));
    }
    return 0;
  }

  std::vector<std::string> files() const override { return {path_}; }

 private:
  static Result<void> list(Console& console, const Container& container) {
    MapPrinter printer(console.out, console.json);
    const View& view = *container.live();
    TRY(walk(view, {0, view.size()}, [&](const View::Mapped& mapped) -> Result<bool> {
      printer.print(mapped);
      return static_cast<bool>(console.out);  // nobody reads on: enough
    }));
    printer.finish();
    return {};
  }

  static Result<void> summarise(Console& console, const Container& container) {
    MapSummary summary;
    const View& view = *container.live();
    TRY(walk(view, {0, view.size()}, [&](const View::Mapped& mapped) -> Result<bool> {
      summary.add(mapped);
      return true;
    }));
    json object = {{"virtual_size", view.size()},
                   {"extents", summary.all().extents},
                   {"layers", layer_totals(container, summary)}};
    for (const MapKind kind : kMapKinds) {
      object["kinds"][std::string(kind_name(kind))] = totals(summary.of(kind));
    }
    if (console.json) {
      console.out << object.dump(2) << '\n';
    } else {
      print_summary(console.out, object);
    }
    return {};
  }

  SourceArguments source_;
  bool summary_ = false;
  std::string path_;
};

}  // namespace

CommandEntry map_command() {
  return {
      .name = "map",
      .arguments = "[options] IMAGE",
      .summary = "list where the bytes of the disk are",
      .details =
          "Each line is an extent: where it starts in the disk, how long it is, the image of the\n"
          "chain that has it (0 is IMAGE itself), and where in which file. A compressed extent's\n"
          "offset is that of its stored bytes. Kinds: data, zero, absent (reads as zeroes since\n"
          "no image has it), compressed, encrypted. No key is needed.",
      .make = [] { return std::unique_ptr<Command>(new MapCommand); }};
}

}  // namespace platter
