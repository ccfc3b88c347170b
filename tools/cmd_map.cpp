#include <map>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/container/extent_walk.h"
#include "lib/ops/new_file.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/map_drawing.h"

namespace platter {
namespace {

using nlohmann::json;

constexpr size_t kTextColumns = 64, kTextLines = 20;
constexpr size_t kSvgCells = size_t{64} * 40;

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
          is_stored(map_kind(e)) ? fmt::to_string(e.host) : "null",
          is_stored(map_kind(e)) ? quoted(*e.file) : "null");
    } else {
      out_ << fmt::format(fmt::runtime(kRow), e.guest.offset, e.guest.length, mapped.depth,
                          kind_name(map_kind(e)),
                          is_stored(map_kind(e)) ? fmt::to_string(e.host) : "-",
                          is_stored(map_kind(e)) ? printable(e.file->name()) : "-");
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
  out << fmt::format("{} extents, pieces in files: {}, virtual size {} bytes\n",
                     summary.at("extents").get<uint64_t>(), summary.at("pieces").get<uint64_t>(),
                     summary.at("virtual_size").get<uint64_t>());
}

Result<void> write_new_file(const std::string& path, const std::string& text) {
  NewFile file = TRY(NewFile::begin(path, 0644));
  TRY(file.file()->write(0, std::as_bytes(std::span(text))));
  return file.publish();
}

class MapCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    app.add_flag("--summary", summary_, "only totals by layer and kind");
    app.add_flag("--draw", draw_, "draw the disk as lines of signs");
    app.add_option("--svg", svg_, "draw it into this file, which is made")->type_name("FILE");
    app.add_option("IMAGE", path_)->required();
  }

  Result<void> check() override { return source_.check(); }

  Result<int> run(Console& console) override {
    const auto container = TRY(Container::open(path_, source_.options()));
    if (!draw_ && svg_.empty() && !summary_) {
      TRY(list(console, *container));
      return 0;
    }
    const View& view = *container->live();
    MapSummary summary;
    Pieces pieces;
    // A picture of nothing takes no extent.
    MapPicture signs(draw_ ? view.size() : 0, kTextColumns * kTextLines);
    MapPicture cells(svg_.empty() ? 0 : view.size(), kSvgCells);
    TRY(walk(view, {0, view.size()}, [&](const View::Mapped& mapped) -> Result<bool> {
      const bool begins = pieces.add(mapped.extent);
      summary.add(mapped);
      signs.add(mapped, begins);
      cells.add(mapped, begins);
      return true;
    }));
    if (!svg_.empty()) TRY(write_new_file(svg_, draw_svg(cells, pieces.count(), *container)));
    if (draw_ && !console.json) {
      draw_text(console.out, signs, pieces.count(), kTextColumns, console.colours);
    }
    if (summary_ || console.json) print_totals(console, *container, summary, pieces.count());
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

  static void print_totals(Console& console, const Container& container, const MapSummary& summary,
                           uint64_t pieces) {
    json object = {{"virtual_size", container.live()->size()},
                   {"extents", summary.all().extents},
                   {"pieces", pieces},
                   {"layers", layer_totals(container, summary)}};
    for (const MapKind kind : kMapKinds) {
      object["kinds"][std::string(kind_name(kind))] = totals(summary.of(kind));
    }
    if (console.json) {
      console.out << object.dump(2) << '\n';
    } else {
      print_summary(console.out, object);
    }
  }

  SourceArguments source_;
  bool summary_ = false, draw_ = false;
  std::string svg_, path_;
};

}  // namespace

CommandEntry map_command() {
  return {
      .name = "map",
      .arguments = "[options] IMAGE",
      .summary = "list or draw where the bytes of the disk are",
      .details =
          "Each line is an extent: where it starts in the disk, how long it is, the image of the\n"
          "chain that has it (0 is IMAGE itself), and where in which file. A compressed extent's\n"
          "offset is that of its stored bytes. Kinds: data, zero, absent (reads as zeroes since\n"
          "no image has it), compressed, encrypted. No key is needed. A drawing shows where most "
          "of\n"
          "each part of the disk is; pieces count what does not go on where the last one ended in\n"
          "its file: 1 is no fragmentation.",
      .make = [] { return std::unique_ptr<Command>(new MapCommand); }};
}

}  // namespace platter
