#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"
#include "tools/map_drawing.h"

namespace platter {
namespace {

constexpr size_t kColumns = 64;
constexpr int kCell = 14;  // pixels, with the gap
constexpr int kMargin = 16;
constexpr int kLine = 20;  // of text
constexpr std::array kLayerColours = {"#2563eb", "#ea580c", "#16a34a",
                                      "#c026d3", "#ca8a04", "#0891b2"};
constexpr size_t kMostLayers = 12;  // that the legend names

const char* colour_of(size_t depth) { return kLayerColours[depth % kLayerColours.size()]; }

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

// What the pointer shows: the range, and what is in it.
std::string words_for(const MapPicture::Cell& cell, const Range& range) {
  std::string words = fmt::format("{} to {}", range.offset, range.end());
  for (const MapPicture::Share& share : cell.shares) {
    words += fmt::format(", {:.0f}% {}",
                         100 * static_cast<double>(share.bytes) / static_cast<double>(range.length),
                         kind_name(share.kind));
    if (is_stored(share.kind)) words += fmt::format(" in layer {}", share.depth);
  }
  if (cell.pieces > 0) words += fmt::format(", {} pieces begin", cell.pieces);
  return words;
}

const char* pattern_of(MapKind kind) {
  switch (kind) {
    case MapKind::compressed: return "url(#compressed)";
    case MapKind::encrypted: return "url(#encrypted)";
    case MapKind::zero: return "#d4d4d8";
    case MapKind::data:
    case MapKind::absent: return nullptr;
  }
  return nullptr;
}

std::string box(int x, int y, const char* style) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}/>", x, y, kCell - 2,
                     kCell - 2, style);
}

std::string cell_svg(const MapPicture::Cell& cell, const Range& range, int x, int y) {
  const MapPicture::Share share = cell.main();
  std::string svg = fmt::format("<g><title>{}</title>", words_for(cell, range));
  svg += box(x, y, "fill=\"#ffffff\" stroke=\"#e4e4e7\"");
  if (is_stored(share.kind)) {
    // The emptier a cell, the paler; something is always seen.
    const double full = static_cast<double>(cell.stored()) / static_cast<double>(range.length);
    svg += box(x, y,
               fmt::format("fill=\"{}\" fill-opacity=\"{:.2f}\"", colour_of(share.depth),
                           0.25 + 0.75 * full)
                   .c_str());
  }
  if (const char* pattern = pattern_of(share.kind)) {
    svg += box(x, y, fmt::format("fill=\"{}\"", pattern).c_str());
  }
  // One piece that begins is nothing special; the line below grows with every doubling.
  if (cell.pieces > 1) {
    const int width =
        std::min(kCell - 2, 2 + static_cast<int>(std::log2(static_cast<double>(cell.pieces))));
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"2\" fill=\"#dc2626\"/>", x,
                       y + kCell - 4, width);
  }
  return svg + "</g>\n";
}

std::string text_svg(int x, int y, std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x, y, escaped(text));
}

class Legend {
 public:
  explicit Legend(int top) : y_(top) {}
  void line(const std::string& boxes_style, const char* pattern, const std::string& text) {
    svg_ += box(kMargin, y_ - kCell + 3, boxes_style.c_str());
    if (pattern != nullptr) {
      svg_ += box(kMargin, y_ - kCell + 3, fmt::format("fill=\"{}\"", pattern).c_str());
    }
    svg_ += text_svg(kMargin + 2 * kCell, y_, text);
    y_ += kLine;
  }
  int bottom() const { return y_; }
  const std::string& svg() const { return svg_; }

 private:
  std::string svg_;
  int y_;
};

Legend legend_of(const MapPicture& picture, uint64_t pieces, const Container& container, int top) {
  Legend legend(top);
  const auto& chain = container.chain();
  for (size_t depth = 0; depth < std::min(chain.size(), kMostLayers); ++depth) {
    const std::string name = chain[depth].path.substr(chain[depth].path.rfind('/') + 1);
    legend.line(fmt::format("fill=\"{}\"", colour_of(depth)), nullptr,
                fmt::format("layer {}: {}", depth, name));
  }
  const auto has = [&](MapKind kind) {
    return std::ranges::any_of(picture.cells(),
                               [&](const auto& cell) { return cell.bytes(kind) > 0; });
  };
  for (const MapKind kind : kMapKinds) {
    if (kind == MapKind::data || !has(kind)) continue;
    const char* style =
        is_stored(kind) ? "fill=\"#a1a1aa\"" : "fill=\"#ffffff\" stroke=\"#e4e4e7\"";
    legend.line(style, pattern_of(kind), std::string(kind_name(kind)));
  }
  if (pieces > 1) {
    legend.line("fill=\"#dc2626\"", nullptr,
                fmt::format("where many of the {} pieces begin", pieces));
  }
  return legend;
}

constexpr std::string_view kPatterns =
    "<defs>\n"
    "<pattern id=\"compressed\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">"
    "<path d=\"M0 4L4 0\" stroke=\"#ffffff\"/></pattern>\n"
    "<pattern id=\"encrypted\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">"
    "<circle cx=\"2\" cy=\"2\" r=\"1\" fill=\"#ffffff\"/></pattern>\n"
    "</defs>\n";

}  // namespace

std::string draw_svg(const MapPicture& picture, uint64_t pieces, const Container& container) {
  constexpr int kTop = 2 * kMargin + kLine;
  const size_t rows = div_up(picture.cells().size(), kColumns);
  const int grid_bottom = kTop + static_cast<int>(rows) * kCell;
  const Legend legend = legend_of(picture, pieces, container, grid_bottom + 2 * kLine);
  constexpr int kWidth = 2 * kMargin + static_cast<int>(kColumns) * kCell;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#ffffff\"/>\n",
      kWidth, legend.bottom() + kMargin);
  svg += kPatterns;
  const uint64_t cell_size = picture.cells().empty() ? 0 : picture.range_of(0).length;
  svg += text_svg(kMargin, kMargin + kLine,
                  fmt::format("{}: {}, {} a cell", container.chain().front().path,
                              human_size(container.live()->size()), human_size(cell_size)));
  for (size_t i = 0; i < picture.cells().size(); ++i) {
    svg += cell_svg(picture.cells()[i], picture.range_of(i),
                    kMargin + static_cast<int>(i % kColumns) * kCell,
                    kTop + static_cast<int>(i / kColumns) * kCell);
  }
  return svg + legend.svg() + "</svg>\n";
}

}  // namespace platter
